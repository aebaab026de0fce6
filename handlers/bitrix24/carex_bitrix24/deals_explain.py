"""`carex deals explain`: who got a deal, why, and why not the others; from what was stored when it was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.tasks import on_queue
from carex.errors import NotFound

if TYPE_CHECKING:
    from carex.people import Decision
    from carex.queue import Entry

DealId = Annotated[int, typer.Argument(metavar="DEAL_ID", min=1, help="The deal's id in the portal.")]


def explain(ctx: typer.Context, deal_id: DealId, json: Annotated[bool, output.Json] = False) -> None:
    """Say who got a deal and why: the candidates, why the others were skipped, the portal's reply, every attempt."""
    from carex_bitrix24.deals_words import plain, words

    root: Root = ctx.obj
    names, decisions = asyncio.run(_stored(root, f"deal:{deal_id}"))
    tasks = tasks_of(root, deal_id)
    if not decisions and not tasks:
        raise NotFound(f"Deal {deal_id} never came here.", "`carex deals reconcile` puts deals that never arrived.")
    known = root.registry.strategies
    if json:
        found = [plain(each, known) for each in decisions]
        output.emit(
            "deals-explain", {"deal_id": deal_id, "decisions": found, "tasks": [_plain(each) for each in tasks]}
        )
        return
    repeats = [each for each in decisions if each.reused]
    for decision in decisions:
        if not decision.reused:
            for line in words(decision, names, known):
                typer.echo(output.visible(line))
    stays = next((each.result["user_id"] for each in tasks[:1] if _superseded(each)), None)
    if stays is not None:
        typer.echo(output.visible(f"deal:{deal_id} stays with {person(stays, names)}: somebody was faster than Carex"))
    elif not decisions:
        typer.echo(f"deal:{deal_id} has been given to nobody yet")
    for repeat in repeats:
        when = output.when(repeat.decided_at)
        typer.echo(output.visible(f"  Held too   for task {repeat.task_id}, {when}: {person(repeat.user_id, names)}"))
    for entry in tasks:
        for line in _attempts(entry):
            typer.echo(output.visible(line))


def tasks_of(root: Root, deal_id: int) -> list[Entry]:
    """The tasks about a deal that the queue still has, newest first."""
    from carex.queue import Filter

    found = on_queue(root, lambda queue: queue.tasks(Filter(types=["bitrix_assign"], match=str(deal_id))))
    return [entry for entry in found if str(entry.task.payload.get("deal_id")) == str(deal_id)]


async def _stored(root: Root, entity: str) -> tuple[Mapping[int, str], list[Decision]]:
    """The employees' names, and the decisions about an entity, newest first."""
    from carex.people import Directory, open_people

    directory = Directory(root.people_file)
    names = {user.id: user.name for user in directory.list()}
    directory.close()
    people = open_people(root.people_file)
    try:
        return names, await people.decisions(entity=entity)
    finally:
        await people.close()


def person(id: int, names: Mapping[int, str]) -> str:
    return f"{id} {names.get(id, '')}".strip()


def _superseded(entry: Entry) -> bool:
    return entry.state == "done" and isinstance(entry.result, dict) and entry.result.get("outcome") == "superseded"


def _plain(entry: Entry) -> dict[str, Any]:
    rest = {name: value for name, value in asdict(entry).items() if name != "task"}
    return {**asdict(entry.task), **rest}


def _attempts(entry: Entry) -> list[str]:
    task = entry.task
    said = f"{entry.state}{f': {entry.reason}' if entry.reason else ''}"
    lines = [f"Task {task.id}  came {output.when(task.created)} from {task.source}; {said}"]
    for each in entry.history:
        times = f" × {each['times']}" if each.get("times", 1) > 1 else ""
        lines.append(
            f"  {output.when(each['ended'])}  attempt {each['attempt']}: {each['outcome']}{times}  {each['reason']}"
        )
    if entry.finished and entry.state == "done":
        lines.append(f"  {output.when(entry.finished)}  attempt {task.attempt}: Done  {entry.result}")
    return lines
