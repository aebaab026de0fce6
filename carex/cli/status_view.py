"""How a snapshot looks: for `carex status` once, for `carex top` again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from carex.cli.output import ago, visible, when

if TYPE_CHECKING:
    from carex.cli.snapshot import Snapshot
    from carex.queue import Holder

LONGEST = 8
"""So many causes are shown, the most frequent."""


FEW = 4
"""So many types of a worker are named; of more only their number."""


def draw(snapshot: Snapshot) -> RenderableType:
    return Group(*_parts(snapshot))


def _parts(found: Snapshot) -> Iterator[RenderableType]:
    yield _headline(found)
    yield Text()
    yield from _section("Tasks", ["type", "waiting", "running", "failed", "ended/s"], map(_type, found.types))
    yield from _section("Waiting for", ["tasks", "type", "why"], _causes(found.waits))
    yield from _section("Failed", ["tasks", "type", "cause", "latest"], _causes(found.errors, dated=True))
    workers = ["worker", "alive", "running", "the longest", "last sign", "types"]
    yield from _section("Workers", workers, map(_worker, found.workers))
    yield from _section("Limits", ["system", "free now", "of", "per s", "closed"], map(_limit, found.limits))
    if found.bridge is not None:
        yield from _bridge(found.bridge)
    for trouble in found.troubles:
        yield Text(f"! {visible(trouble)}", style="yellow")


def _headline(found: Snapshot) -> Text:
    """One sentence for who only has a glance."""
    total = {state: sum(each[state] for each in found.types) for state in ("waiting", "running", "failed")}
    alive = sum(each.alive for each in found.workers)
    ended = sum(sum(each["per_second"].values()) for each in found.types)
    text = Text(f"{when(found.at)}  ", style="bright_black")
    text.append(f"{total['waiting']} waiting, {total['running']} running, {ended:.3g}/s ended, ", style="bold")
    text.append(f"{total['failed']} failed, ", style="bold red" if total["failed"] else "bold")
    text.append(f"{alive} worker{'' if alive == 1 else 's'}", style="bold" if alive else "bold yellow")
    if found.why:
        late = "yellow" if found.oldest_due > 10 else ""
        text.append(f"\nthe oldest that could run has waited {ago(found.oldest_due)}: {found.why}", style=late)
    return text


def _section(title: str, columns: Sequence[str], rows: Any) -> Iterator[RenderableType]:
    found = [[Text(visible(str(cell)) if cell is not None else "–") for cell in row] for row in rows]
    if not found:
        return
    table = Table(box=None, pad_edge=False, header_style="bright_black", title=title, title_justify="left")
    table.title_style = "bold cyan"
    for column in columns:
        numeric = column in ("tasks", "waiting", "running", "failed", "ended/s", "free now", "of", "per s", "messages")
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in found:
        table.add_row(*row)
    yield table
    yield Text()


def _type(each: dict[str, Any]) -> list[object]:
    rates = ", ".join(f"{rate:g} {outcome}" for outcome, rate in sorted(each["per_second"].items()))
    return [each["type"], each["waiting"], each["running"], each["failed"], rates]


def _causes(causes: Sequence[dict[str, Any]], *, dated: bool = False) -> Iterator[list[object]]:
    for each in causes[:LONGEST]:
        yield [each["tasks"], each["type"], each["cause"], *([when(each["latest"])] if dated else [])]
    if len(causes) > LONGEST:
        yield [sum(each["tasks"] for each in causes[LONGEST:]), "", "other causes", *([""] if dated else [])]


def _worker(each: Holder) -> list[object]:
    longest = f"{each.doing} for {ago(time.time() - each.since)}" if each.since else ""
    types = ", ".join(each.types) if len(each.types) <= FEW else f"{len(each.types)} types"
    return [each.id, "yes" if each.alive else "NO", each.running, longest, f"{ago(each.silent)} ago", types]


def _limit(each: dict[str, Any]) -> list[object]:
    closed = ", ".join(
        f"{'everything' if one['what'] == '*' else one['what']} for {ago(one['seconds'])}: {one['reason']}"
        for one in each["closed"]
    )
    return [each["name"], f"{each['room']:.0f}", f"{each['burst']:g}", f"{each['per_second']:g}", closed]


def _bridge(bridge: dict[str, Any]) -> Iterator[RenderableType]:
    if "engine" in bridge:
        numbers = f"{bridge['to_fetch']} to fetch, {bridge['locked']} locked for work, {bridge['incidents']} incidents"
        yield Text.assemble(("Engine ", "bold cyan"), f"{bridge['engine']}: {numbers}")
    if "running" in bridge:
        runs, style = ("runs", "green") if bridge["running"] else ("does not run", "yellow")
        yield Text.assemble(("Bridge ", "bold cyan"), (runs, style))
        rows = [[each["name"], each["messages"], each["consumers"]] for each in bridge["queues"]]
        yield from _section("RabbitMQ", ["queue", "messages", "consumers"], rows)
