"""`carex deals report`: how evenly deals were given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.durations import seconds
from carex.errors import UsageError

if TYPE_CHECKING:
    from carex.people import Decision
    from carex.people.fairness import Fairness, Line

BAR = 30
DAYS = 14
LIKELY = 0.001


def report(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: 12h, 30d.")] = "30d",
    pool: Annotated[str | None, typer.Option(help="Only this pool's deals.")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it, as an SVG file.")] = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Show each one's share of the deals beside the share they should have, by day, and whether it may be chance."""
    from carex.cli.rules import rules_of
    from carex.people.fairness import fairness_of

    root: Root = ctx.obj
    found, names = asyncio.run(_decisions(root, time.time() - seconds(since)))
    wanted = [each for each in found if each.entity.startswith("deal:") and pool in (None, each.pool)]
    fairness = fairness_of(wanted, rules_of(root.settings).zone(), names)
    if picture is not None:
        draw(fairness, f"Deals of the last {since}{f', pool {pool}' if pool else ''}", picture)
    if json:
        output.emit("deals-report", {"since": since, "pool": pool, **plain(fairness)})
    else:
        show(fairness, empty=f"No deals were given in the last {since}.")


def draw(fairness: Fairness, title: str, file: Path) -> None:
    """Write the picture; say where it is."""
    from carex_bitrix24.deals_picture import svg

    try:
        file.write_text(svg(fairness, title), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from None
    output.talk(f"Drawn: {file}")


def plain(fairness: Fairness) -> dict[str, Any]:
    """The report for programs."""
    days = {day.isoformat(): dict(each) for day, each in sorted(fairness.by_day.items())}
    return {
        "given": fairness.given,
        "shared": fairness.shared,
        "people": [asdict(line) for line in fairness.lines],
        "chi_square": fairness.chi_square,
        "degrees_of_freedom": fairness.freedom,
        "p": fairness.p,
        "by_day": days,
    }


def show(fairness: Fairness, *, empty: str) -> None:
    """The report for people: a table with bars, the verdict, and the days."""
    rows = [
        (
            line.user_id,
            line.name,
            line.given,
            f"{share(line.shared, fairness.shared):.1%}",
            f"{share(line.expected, fairness.shared):.1%}",
            f"{line.shared - line.expected:+.1f}",
            line.given - line.shared or "–",
            bar(line, fairness),
        )
        for line in fairness.lines
    ]
    output.table(["ID", "Name", "Deals", "Share", "Expected", "Off by", "Kept", "│ = expected"], rows, empty=empty)
    if rows:
        typer.echo(verdict(fairness))
        days = sorted(fairness.by_day)[-DAYS:]
        output.table(["Day", *(line.name for line in fairness.lines)], _days(fairness, days), empty="")


def verdict(fairness: Fairness) -> str:
    """What the test says, in one sentence."""
    kept = fairness.given - fairness.shared
    beside = f" {kept} more went to an owner or the fallback." if kept else ""
    if fairness.p is None:
        return f"{fairness.shared} deals were shared out: too few for a verdict.{beside}"
    test = f"χ² = {fairness.chi_square:.2f}, {fairness.freedom} degrees of freedom, p = {fairness.p:.3g}"
    if fairness.p < LIKELY:
        return f"{fairness.shared} deals were shared out unevenly, and chance does not explain it: {test}.{beside}"
    return f"{fairness.shared} deals were shared out evenly: {test}.{beside}"


def bar(line: Line, fairness: Fairness) -> str:
    """The share as a bar, and where it should end."""
    largest = max(max(each.shared, each.expected) for each in fairness.lines) or 1
    cells = ["█"] * round(line.shared / largest * BAR)
    cells += [" "] * (BAR + 1 - len(cells))
    if line.expected:
        cells[round(line.expected / largest * BAR)] = "│"
    return "".join(cells)


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _days(fairness: Fairness, days: Sequence[Any]) -> Iterator[list[object]]:
    for day in days:
        yield [day.isoformat(), *(fairness.by_day[day].get(line.user_id, 0) or "–" for line in fairness.lines)]


async def _decisions(root: Root, since: float) -> tuple[list[Decision], dict[int, str]]:
    """The decisions, and everybody's name."""
    from carex.people import open_people

    people = open_people(root.people_file)
    try:
        return await people.decisions(since=since), {user.id: user.name for user in await people.users()}
    finally:
        await people.close()
