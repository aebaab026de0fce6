"""`carex deals assign`: give a deal to somebody, or say who would get it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.tasks import on_queue
from carex.errors import NotFound, Refused
from carex.task import BpmnError, Retry, Task, Unfinished, Wait
from carex_bitrix24.deals_explain import DealId, person, tasks_of

if TYPE_CHECKING:
    from carex.people import Decision
    from carex.queue import Placed, Queue


def assign(
    ctx: typer.Context,
    deal_id: DealId,
    again: Annotated[bool, typer.Option("--again", help="Decide anew, whoever has it now.")] = False,
    contact: Annotated[
        list[int] | None,
        typer.Option("--contact", metavar="ID", min=1, help="A contact that goes with it; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Have a deal given to somebody, as if its robot had called; a worker does it."""
    root: Root = ctx.obj
    payload: dict[str, Any] = {"deal_id": deal_id, **({"cont_id": contact} if contact else {})}
    if again:
        payload["again"] = True
    if dry_run:
        _rehearse(root, deal_id, payload, json)
        return
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


def _rehearse(root: Root, deal_id: int, payload: dict[str, Any], json: bool) -> None:
    from carex_bitrix24.deals_words import plain, words

    try:
        decision, names = asyncio.run(_decide(root, _task(root, deal_id, payload)))
    except (Wait, Retry) as held:
        if json:
            output.emit("deals-assign", {"deal_id": deal_id, "decision": None, "held": held.reason})
            return
        typer.echo(output.visible(f"deal:{deal_id} would wait: {held.reason}"))
        return
    except BpmnError as missing:
        if missing.code == "NOT_FOUND":
            raise NotFound(f"The portal has no deal {deal_id}: {missing.reason}") from None
        raise Refused(f"Deal {deal_id} would fail: {missing.reason}") from None
    except Unfinished as refused:
        raise Refused(f"Deal {deal_id} would fail: {refused.reason}") from None
    known = root.registry.strategies
    if isinstance(decision, int):
        if json:
            output.emit("deals-assign", {"deal_id": deal_id, "decision": None, "held": None, "stays_with": decision})
            return
        typer.echo(output.visible(f"deal:{deal_id} stays with {person(decision, names)}: somebody was faster"))
        output.talk("Nothing was done; --again decides anew.")
        return
    if json:
        output.emit("deals-assign", {"deal_id": deal_id, "decision": plain(decision, known), "held": None})
        return
    if decision.reused:
        output.talk(f"Deal {deal_id} was given away a moment ago, and that would hold; --again decides anew.")
    for line in words(decision, names, known):
        typer.echo(output.visible(line))
    output.talk("Nothing was done.")


def _task(root: Root, deal_id: int, payload: dict[str, Any]) -> Task:
    """The task that would be done: a new one, or the one that the queue has already."""
    open_ones = [each.task for each in tasks_of(root, deal_id) if each.state in ("waiting", "running")]
    if open_ones and "again" not in payload:
        return replace(open_ones[-1], payload={**open_ones[-1].payload, **payload})
    return Task("bitrix_assign", payload, source="cli")


async def _decide(root: Root, task: Task) -> tuple[Decision | int, dict[int, str]]:
    """Decide as a worker would, on a copy; or who was faster. And everybody's name."""
    from carex import Context
    from carex.cli.rehearse import rehearse
    from carex_bitrix24 import plugin
    from carex_bitrix24.assign import choose
    from carex_bitrix24.crm import read_item
    from carex_bitrix24.settings import Settings

    async with rehearse(root, ask=True) as rehearsal:
        client, settings = rehearsal.clients["bitrix24"], root.settings.plugin("bitrix24", Settings)
        ctx = Context(task, settings=settings, client=client, people=rehearsal.people)
        subject = plugin.handlers["bitrix_assign"].parse(task.payload)
        item, decision = await choose(subject, ctx)
        if not item:
            await read_item(client, subject.type, subject.id)  # a worker notices when it gives it away
        names = {user.id: user.name for user in await rehearsal.people.users()}
    return decision, names
