"""`carex deals assign`: give a deal to somebody, or say who would get it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli import Root, output
from carex.cli.tasks import on_queue
from carex.errors import Refused
from carex.task import Retry, Task, Unfinished, Wait
from carex_bitrix24.deals_explain import DealId

if TYPE_CHECKING:
    from carex.people import Decision
    from carex.queue import Placed, Queue


def assign(
    ctx: typer.Context,
    deal_id: DealId,
    again: Annotated[bool, typer.Option("--again", help="Decide anew, whoever has it now.")] = False,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Have a deal given to somebody, as if its robot had called; a worker does it."""
    root: Root = ctx.obj
    if dry_run:
        _rehearse(root, deal_id, again, json)
        return
    payload = {"deal_id": deal_id, "again": True} if again else {"deal_id": deal_id}
    key = None if again else f"bitrix_assign:{deal_id}"
    window = 0.0 if again else root.settings.queue.dedupe_window
    task = Task("bitrix_assign", payload, key=key, window=window, source="cli")

    async def put(queue: Queue) -> Placed:
        return (await queue.put([task]))[0]

    placed = on_queue(root, put)
    if json:
        output.emit("deals-assign", {"task_id": placed.id, "duplicate": not placed.new})
        return
    typer.echo(placed.id)
    output.talk("Queued." if placed.new else "It is queued or was just done already; --again decides anew.")
    output.talk(f"Who and why: carex deals explain {deal_id}")


def _rehearse(root: Root, deal_id: int, again: bool, json: bool) -> None:
    from carex_bitrix24.deals_words import plain, words

    try:
        decision, names = asyncio.run(_decide(root, deal_id, again))
    except (Wait, Retry) as held:
        if json:
            output.emit("deals-assign", {"deal_id": deal_id, "decision": None, "held": held.reason})
            return
        typer.echo(output.visible(f"deal:{deal_id} would wait: {held.reason}"))
        return
    except Unfinished as refused:
        raise Refused(f"Deal {deal_id} would fail: {refused.reason}") from None
    known = root.registry.strategies
    if json:
        output.emit("deals-assign", {"deal_id": deal_id, "decision": plain(decision, known), "held": None})
        return
    if decision.reused:
        output.talk(f"Deal {deal_id} was given away a moment ago, and that would hold; --again decides anew.")
    for line in words(decision, names, known):
        typer.echo(output.visible(line))
    output.talk("Nothing was done.")


async def _decide(root: Root, deal_id: int, again: bool) -> tuple[Decision, dict[int, str]]:
    """Decide as a worker would, on a copy."""
    from carex.cli.rehearse import rehearse
    from carex_bitrix24.crm import DEAL
    from carex_bitrix24.facts import facts_of

    async with rehearse(root, ask=True) as rehearsal:
        facts = partial(facts_of, rehearsal.clients["bitrix24"], DEAL, deal_id, {}, ())
        decision = await rehearsal.people.decide(Task("bitrix_assign"), f"deal:{deal_id}", again=again, facts=facts)
        names = {user.id: user.name for user in await rehearsal.people.users()}
    return decision, names
