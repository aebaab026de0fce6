"""What was measured, as tables: for the terminal, for the README, and as JSON."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from contenders import Contender
from rounds import Outcome, machine

NOTHING = "–"


@dataclass(frozen=True)
class Measure:
    key: str
    title: str
    unit: str
    more_is_better: bool = True


@dataclass(frozen=True)
class Table:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


INTAKE = tuple(
    Measure(f"{key}_{connections}", f"{title}, {connections} at a time", unit, more)
    for connections in (32, 1)
    for key, title, unit, more in (
        ("rate", "intake", "requests/s", True),
        ("p50", "p50", "ms", False),
        ("p99", "p99", "ms", False),
    )
)
DRAIN = (
    Measure("drain", "drain of no-ops", "tasks/s"),
    Measure("drain_cpu", "CPU a task", "µs", False),
)
PEERS = (
    Measure("put_one", "put one by one", "tasks/s"),
    Measure("put_many", "put many", "tasks/s"),
    *DRAIN,
    Measure("naps", "50 ms tasks, 100 at a time", "tasks/s"),
    Measure("p50", "put → start, p50", "ms", False),
    Measure("p99", "put → start, p99", "ms", False),
    Measure("start", "start → first task", "s", False),
    Measure("memory", "idle memory", "MiB", False),
    Measure("idle", "idle CPU", "% of a core", False),
    Measure("backlog", "drain of a long backlog", "tasks/s"),
)


def values(title: str, outcome: Outcome, measures: Sequence[Measure]) -> Table:
    """Medians, with the least and the most in brackets."""
    contenders = outcome.contenders
    rows = [["tasks of a killed worker", *(each.guarantee for each in contenders.values())]]
    rows += [
        [
            f"{measure.title}, {measure.unit}",
            *(_cell(outcome.values.get(name, {}).get(measure.key)) for name in contenders),
        ]
        for measure in measures
    ]
    header = ["", *(each.title for each in contenders.values())]
    notes = [f"Median of {outcome.rounds} interleaved rounds (least–most).", *outcome.problems]
    return Table(title, header, rows, notes)


def ratios(title: str, outcome: Outcome, measures: Sequence[Measure], against: Sequence[Contender]) -> Table:
    """Each contender beside Carex, and beside whoever of `against` is best at that measure."""
    carex = next((name for name, contender in outcome.contenders.items() if contender.is_carex), None)
    rows = []
    for measure in measures:
        other = best(outcome, measure, against)
        cells = [
            f"{_ratio(outcome, measure, name, carex)} / {_ratio(outcome, measure, name, other)}"
            for name in outcome.contenders
        ]
        rows.append([measure.title, *cells, outcome.contenders[other].title if other else NOTHING])
    notes = ["How many times as good; above 1 is better."]
    return Table(title, ["", *(each.title for each in outcome.contenders.values()), "the best of them"], rows, notes)


def best(outcome: Outcome, measure: Measure, among: Sequence[Contender]) -> str | None:
    """Who of these is best at a measure; None if nobody was measured."""
    found = {each.name: value for each in among if (value := outcome.median(each.name, measure.key)) is not None}
    if not found:
        return None
    return (max if measure.more_is_better else min)(found, key=lambda name: found[name])


def floor_table(outcome: Outcome, floors: Mapping[str, str]) -> Table:
    """What bare storage does, and what share of it Carex reaches at the same batch size."""
    rows = [[title, _cell(outcome.values.get("floor", {}).get(key))] for key, title in floors.items()]
    notes = [*outcome.problems] if not outcome.contenders else []
    for name, key, measure, what in SHARES:
        reached, floor = outcome.median(name, measure), outcome.median("floor", key)
        if reached and floor:
            title = outcome.contenders[name].title
            notes.append(f"{title} {what} at {100 * reached / floor:.0f} % of: {floors[key]}.")
    return Table("Floor: the same storage, by 100, with nothing around it", ["", "per second"], rows, notes)


SHARES = (
    ("carex-sqlite", "sqlite_claim_update_100", "drain", "drains"),
    ("carex-sqlite", "sqlite_claim_then_update_100", "drain", "drains"),
    ("carex-sqlite", "sqlite_claim_delete_100", "drain", "drains"),
    ("carex-sqlite", "sqlite_insert_100", "put_many", "puts many"),
    ("carex-sqlite", "sqlite_insert_1", "put_one", "puts one by one"),
    ("carex-redis", "redis_read_ack_delete_100", "drain", "drains"),
    ("carex-redis", "redis_put_100", "put_many", "puts many"),
    ("carex-redis", "redis_put_1", "put_one", "puts one by one"),
)


def show(tables: Sequence[Table]) -> None:
    """Print to the terminal."""
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 180, markup=False)
    for table in tables:
        grid = Grid(title=table.title, title_justify="left", header_style="bold")
        for place, head in enumerate(table.header):
            grid.add_column(Text(head), justify="right" if place else "left")
        for row in table.rows:
            grid.add_row(*map(Text, row))
        console.print(grid)
        for note in table.notes:
            console.print(note, style="dim", highlight=False)
    console.print(f"Machine: {_facts()}.", style="dim", highlight=False)


def markdown(tables: Sequence[Table]) -> str:
    """For the README."""
    parts = []
    for table in tables:
        cells = [table.header, *table.rows]
        lines = [f"| {' | '.join(cell.replace(chr(10), ' ') for cell in row)} |" for row in cells]
        lines.insert(1, f"|---|{'---:|' * (len(table.header) - 1)}")
        parts.append("\n".join([f"**{table.title}**", "", *lines, "", *table.notes]))
    parts.append(f"Machine: {_facts()}.")
    return "\n\n".join(parts) + "\n"


def as_json(name: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "schema": f"carex-bench.{name}/1",
        "machine": machine(),
        "rounds": outcome.rounds,
        "contenders": {
            each.name: {
                "title": each.title,
                "guarantee": each.guarantee,
                "keeps": each.keeps,
                "versions": each.requirements,
            }
            for each in outcome.contenders.values()
        },
        "values": outcome.values,
        "medians": {
            name: {key: statistics.median(found) for key, found in by_key.items()}
            for name, by_key in outcome.values.items()
        },
        "problems": outcome.problems,
    }  # fmt: skip


def _facts() -> str:
    facts = machine()
    return ", ".join([f"{facts['cores']} cores", *(f"{name} {facts[name]}" for name in ("Python", "Redis", "SQLite"))])


def number(value: float) -> str:
    """Three digits that matter; thousands with a comma."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cell(found: Sequence[float] | None) -> str:
    if not found:
        return NOTHING
    spread = f"\n({number(min(found))}–{number(max(found))})" if len(found) > 1 else ""
    return f"{number(statistics.median(found))}{spread}"


def _ratio(outcome: Outcome, measure: Measure, name: str, reference: str | None) -> str:
    value = outcome.median(name, measure.key)
    other = outcome.median(reference, measure.key) if reference else None
    if not value or not other:
        return NOTHING
    return f"{value / other if measure.more_is_better else other / value:.2f}"
