"""`carex deals reconcile`: find the deals whose robot called in vain, and have them given away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.durations import seconds
from carex.errors import UsageError

if TYPE_CHECKING:
    from carex.queue import Queue
    from carex.settings import Settings
    from carex.task import Task

SLACK = 3600.0
"""By so many seconds the clocks of the portal and of this machine may differ."""


def reconcile(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="Deals created within this time: 30m, 24h, 7d.")] = "24h",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="FIELD=VALUE", help="Only deals like this, as in categoryId=3; may be repeated."
        ),
    ] = None,
    contacts: Annotated[bool, typer.Option("--contacts", help="With each deal's contact, as robots name it.")] = False,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Put a task for every deal of a period that has none here and was given to nobody, by Carex or by people.

    A robot calls once and never again; what it called for while nobody listened is found this way.
    """
    root: Root = ctx.obj
    begin = time.time() - seconds(since)
    found, missing, taken = asyncio.run(_reconcile(root, begin, _conditions(only or []), contacts, dry_run))
    if json:
        told = {
            "deals": found,
            "put": [task.payload["deal_id"] for task in missing],
            "taken": [{"deal_id": deal, "user_id": user} for deal, user in taken.items()],
            "since": begin,
            "dry_run": dry_run,
        }
        output.emit("deals-reconcile", told)
        return
    for task in missing:
        typer.echo(task.payload["deal_id"])
    verb = "would be put" if dry_run else "put"
    for deal, user in taken.items():
        output.talk(f"Deal {deal} was taken by {user} and is left alone.")
    known = found - len(missing) - len(taken)
    output.talk(
        f"{found} deals since {output.when(begin)}; "
        f"{known} are known here, {len(taken)} were taken by people, {len(missing)} {verb}."
    )


async def _reconcile(
    root: Root, begin: float, conditions: Mapping[str, str], contacts: bool, dry_run: bool
) -> tuple[int, Sequence[Task], Mapping[int, int]]:
    """How many deals there are, the tasks of those that had none, and who has taken which for themselves."""
    from carex.cli.clients import client_of
    from carex.cli.process import queue_of
    from carex_bitrix24 import plugin
    from carex_bitrix24.guard import taken_by
    from carex_bitrix24.settings import Settings as Own

    settings = root.settings
    own = settings.plugin("bitrix24", Own)
    async with client_of(root, plugin) as portal:
        asked = {
            "entityTypeId": 2,
            "select": ["id", "contactId", "assignedById", "createdBy", "createdTime", "updatedTime"],
            "filter": {
                **conditions,
                ">=createdTime": datetime.fromtimestamp(begin, timezone.utc).isoformat("T", "seconds"),
            },
        }
        deals = {int(each["id"]): each async for each in portal.list("crm.item.list", asked, within="items", by="id")}
        owner = portal.user_id
    queue = queue_of(settings)
    try:
        known, colleagues = await _known(root, queue, sorted(deals), begin)
        new = {id: deal for id, deal in deals.items() if id not in known}
        holders = {id: taken_by(deal, owner, own.holders, colleagues) for id, deal in new.items()}
        missing = [_task(deal, contacts, settings) for id, deal in new.items() if not holders[id]]
        if missing and not dry_run:
            placed = await queue.put(missing)
            missing = [task for task, where in zip(missing, placed, strict=True) if where.new]
    finally:
        await queue.close()
    return len(deals), missing, {id: user for id, user in holders.items() if user}


async def _known(root: Root, queue: Queue, deals: Sequence[int], begin: float) -> tuple[set[int], set[int]]:
    """The deals that have a task, or whose task is gone but has left a decision; and who is in the directory."""
    from carex.people import open_people
    from carex.queue import Filter

    tasks = await queue.tasks(Filter(types=["bitrix_assign"], since=begin - SLACK))
    known = {int(str(entry.task.payload.get("deal_id") or 0)) for entry in tasks}
    people = open_people(root.people_file)
    try:
        for deal in deals:
            if deal not in known and await people.decisions(entity=f"deal:{deal}"):
                known.add(deal)
        colleagues = {user.id for user in await people.users()}
    finally:
        await people.close()
    return known, colleagues


def _task(deal: Mapping[str, Any], contacts: bool, settings: Settings) -> Task:
    from dataclasses import replace

    from carex_bitrix24.crm import whole
    from carex_bitrix24.events import assignment

    contact = whole(deal.get("contactId")) if contacts else 0
    more = {"cont_id": [contact]} if contact else {}
    task = assignment("deal", int(deal["id"]), source="reconcile", **more)
    return replace(task, window=settings.queue.dedupe_window)


def _conditions(given: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise UsageError(f"--only {name!r} is not FIELD=VALUE.", "As in --only categoryId=3.")
    return {name: value for name, _, value in pairs}
