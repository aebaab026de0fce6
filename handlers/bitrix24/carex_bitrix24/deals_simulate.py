"""`carex deals simulate`: who would get the deals of a file. The code is the worker's own; the ledger is a copy."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.task import Task, Wait
from carex_bitrix24 import deals_report
from carex_bitrix24.deals_file import Deal, read_deals, strangers

if TYPE_CHECKING:
    from carex.people import Decision, People

FIRST = 30
"""So many deals are listed one by one."""
NOW = 60.0
"""A deal that came at most so many seconds ago is one of now."""
STEP = 300.0
LONGEST = 7 * 86400.0
"""After the last deal the clock goes on in such steps, for so long, until those that wait have been given away."""


@dataclass
class Outcome:
    """Who got what; which deals had to wait, with the first reason, and which of them nobody got in the end."""

    given: list[tuple[Deal, Decision]] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    waited: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


class Clock:
    """Stands still until it is set."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def simulate(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="CSV or JSON: id, created, pipeline, stage, source, amount, owner, any other field."),
    ],
    fresh: Annotated[bool, typer.Option("--fresh", help="As if nobody had been given anything yet.")] = False,
    without_portal: Annotated[
        bool, typer.Option("--without-portal", help="Do not ask the portal who is there now.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw the shares, as an SVG file.")] = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Say who would get the deals of a file by the rules as they are. Nothing is given, and nothing is stored."""
    from carex.cli.rules import rules_of
    from carex.people.fairness import fairness_of

    root: Root = ctx.obj
    rules = rules_of(root.settings)
    deals = read_deals(file, rules.zone())
    strange = strangers(deals, rules.wanted())
    if strange:
        output.talk(f"No rule asks for these columns: {', '.join(strange)}.")
    now = time.time()
    past = any(deal.at is not None and deal.at < now - NOW for deal in deals)
    if past and not fresh:
        output.talk("These deals are of the past: what was given since is left out, as with --fresh.")
    other_times = any(deal.at is not None and abs(deal.at - now) > NOW for deal in deals)
    if other_times and rules.sources and not without_portal:
        output.talk(f"The portal can only say who is there now, so it was NOT asked: {', '.join(rules.sources)}.")
    outcome = asyncio.run(_play(root, deals, fresh=fresh or past, ask=not without_portal and not other_times))
    fairness = fairness_of([decision for _, decision in outcome.given], rules.zone(), outcome.names)
    if picture is not None:
        deals_report.draw(fairness, f"Who would get the deals of {file.name}", picture)
    if json:
        found = [_plain(deal, decision) for deal, decision in outcome.given]
        report = deals_report.plain(fairness)
        output.emit("deals-simulate", {"assignments": found, "held": outcome.held, **report})
        return
    _list(outcome, timed=any(deal.at is not None for deal in deals), zone=rules.zone())
    deals_report.show(fairness, empty="Nobody would get anything.")
    pools = Counter(decision.pool or "everybody" for _, decision in outcome.given)
    typer.echo(
        output.visible(f"Pools: {', '.join(f'{name} {count}' for name, count in pools.most_common()) or 'none'}.")
    )
    got = Counter(why for id, why in outcome.waited.items() if id not in outcome.held)
    for reason, count in got.most_common():
        typer.echo(output.visible(f"{count} deals would have waited for somebody: {reason}"))
    for reason, count in Counter(outcome.held.values()).most_common():
        typer.echo(output.visible(f"{count} deals would wait: {reason}"))


def _list(outcome: Outcome, *, timed: bool, zone: tzinfo | None) -> None:
    """The first deals, each with who gets it and why."""
    rows = []
    for deal, decision in outcome.given[:FIRST]:
        at = datetime.fromtimestamp(decision.decided_at, zone).strftime("%Y-%m-%d %H:%M")
        why = f"{decision.chosen_by}{f': {decision.note}' if decision.note else ''}"
        who = f"{decision.user_id} {decision.user_name}"
        rows.append([deal.id, *([at] if timed else []), who, decision.pool or "–", why])
    if not rows:
        return
    output.table(["Deal", *(["Given"] if timed else []), "To", "Pool", "Why"], rows, empty="")
    more = len(outcome.given) - FIRST
    if more > 0:
        output.talk(f"… and {more} more; --json names them all.")
    typer.echo("")


async def _play(root: Root, deals: list[Deal], *, fresh: bool, ask: bool) -> Outcome:
    from carex.cli.rehearse import rehearse

    clock, outcome = Clock(time.time()), Outcome()
    async with rehearse(root, ask=ask, fresh=fresh, clock=clock) as rehearsal:
        people, waiting = rehearsal.people, list[Deal]()
        outcome.names = {user.id: user.name for user in await people.users()}
        for name, source in rehearsal.people.sources.items():
            people.sources[name] = _Once(source)
        for deal in deals:
            if deal.at is not None:
                await _catch_up(people, clock, waiting, outcome, deal.at)
                clock.now = deal.at
            await _offer(people, deal, waiting, outcome)
        if deals and deals[-1].at is not None:
            await _catch_up(people, clock, waiting, outcome, clock.now + LONGEST)
    return outcome


async def _catch_up(people: People, clock: Clock, waiting: list[Deal], outcome: Outcome, end: float) -> None:
    """Let the time pass, offering what waits again and again, oldest first, as the queue does."""
    while waiting and clock.now + STEP < end:
        clock.now += STEP
        again, waiting[:] = list(waiting), []
        in_vain: set[str] = set()
        for deal in again:
            if outcome.held[deal.id] in in_vain:  # it waits for the same as another that was just offered in vain
                waiting.append(deal)
            elif not await _offer(people, deal, waiting, outcome):
                in_vain.add(outcome.held[deal.id])


async def _offer(people: People, deal: Deal, waiting: list[Deal], outcome: Outcome) -> bool:
    async def facts(wanted: frozenset[str]) -> Mapping[str, Any]:
        return {name: deal.facts[name] for name in wanted if name in deal.facts}

    try:
        decision = await people.decide(Task("bitrix_assign", id=f"simulated-{deal.id}"), f"deal:{deal.id}", facts=facts)
    except Wait as held:
        waiting.append(deal)
        outcome.held[deal.id] = outcome.waited.setdefault(deal.id, held.reason)
        return False
    outcome.held.pop(deal.id, None)
    outcome.given.append((deal, decision))
    return True


class _Once:
    """Asks the portal one time: how it is now is all that it can tell."""

    def __init__(self, ask: Any) -> None:
        self._ask = ask
        self._answer: Any = None

    async def __call__(self, ids: Any, now: Any) -> Any:
        if self._answer is None:
            self._answer = await self._ask(ids, now)
        return self._answer


def _plain(deal: Deal, decision: Decision) -> dict[str, Any]:
    return {
        "deal_id": deal.id,
        "at": decision.decided_at,
        "user_id": decision.user_id,
        "user_name": decision.user_name,
        "pool": decision.pool,
        "strategy": decision.strategy,
        "chosen_by": decision.chosen_by,
        "note": decision.note,
    }
