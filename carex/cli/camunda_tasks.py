"""`carex camunda tasks`, `unlock` and `retries`: external tasks as the engine has them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.camunda_engine import on_engine, when
from carex.errors import NotFound, PartlyFailed, Unreachable, UsageError

if TYPE_CHECKING:
    from carex.camunda.engine import Engine

Ids = Annotated[list[str], typer.Argument(metavar="TASK_ID...", help="Ids as in `carex camunda tasks`.")]
Found = dict[str, Any]


def tasks(
    ctx: typer.Context,
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    locked: Annotated[bool, typer.Option("--locked", help="Only those that somebody holds.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only those without retries: the incidents.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """List open external tasks, newest first: state, lock, queue, incident, and what this home knows of them."""
    root: Root = ctx.obj
    if locked and failed:
        raise UsageError("Say --locked or --failed, not both: a task without retries is held by nobody.")
    query = {"topicName": topic, "locked": locked or None, "noRetriesLeft": failed or None}
    asked: Found = {name: value for name, value in query.items() if value is not None}

    async def look(engine: Engine) -> tuple[int, list[Found]]:
        newest = [{"sortBy": "createTime", "sortOrder": "desc"}]
        found = await engine.external_tasks(max_results=limit, sorting=newest, **asked)
        return await engine.count_external_tasks(**asked), await _described(root, engine, found)

    total, found = on_engine(root, look)
    here = _seen_here(root, [each["id"] for each in found])
    found = [{**each, "here": here.get(each["id"])} for each in found]
    if json:
        output.emit("camunda_tasks", {"total": total, "tasks": found})
        return
    columns = ["ID", "Topic", "Process", "Created", "State", "Retries", "Queue", "Error", "Here"]
    output.table(columns, map(_row, found), empty="No such external tasks.")
    if total > len(found):
        output.talk(f"{len(found)} of {total}. More: --limit {total}")


def unlock(
    ctx: typer.Context,
    ids: Ids,
    dry_run: Annotated[bool, output.DryRun] = False,
    yes: Annotated[bool, output.Yes] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Take the lock from whoever holds a task, so that it can be fetched again."""
    root: Root = ctx.obj
    found, unknown = _chosen(root, ids)
    held = [each["id"] for each in found if each["locked"]]
    _show(found, json)
    if held and not dry_run:
        if len(held) > 1:
            output.confirm(
                "Whoever holds these tasks may be working on them; they will be given out again. Unlock?", yes
            )

        async def work(engine: Engine) -> None:
            for id in held:
                await engine.unlock(id)

        on_engine(root, work)
    free = [each["id"] for each in found if not each["locked"]]
    if json:
        output.emit("camunda_unlock", {"unlocked": held, "free": free, "unknown": unknown, "dry_run": dry_run})
    else:
        output.talk(f"{len(held)} would be unlocked." if dry_run else f"{len(held)} unlocked.")
        if free:
            output.talk(f"Held by nobody: {', '.join(free)}")
    _name_unknown(unknown)


def retries(
    ctx: typer.Context,
    ids: Ids,
    set: Annotated[int, typer.Option("--set", min=0, metavar="N", help="Attempts left; 0 makes an incident.")],
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Set how many attempts tasks have left; more than 0 resolves their incidents."""
    root: Root = ctx.obj
    found, unknown = _chosen(root, ids)
    chosen = [each["id"] for each in found]
    _show(found, json)
    if not dry_run:
        on_engine(root, lambda engine: engine.set_retries(chosen, set))
    if json:
        output.emit("camunda_retries", {"changed": chosen, "retries": set, "unknown": unknown, "dry_run": dry_run})
    else:
        output.talk(f"{len(chosen)} {'would have' if dry_run else 'have now'} {set} retries.")
    _name_unknown(unknown)


def _chosen(root: Root, ids: list[str]) -> tuple[list[Found], list[str]]:
    """The tasks with these ids, and the ids that no open task has. Raises NotFound if there is none at all."""
    wanted = list(dict.fromkeys(ids))

    async def look(engine: Engine) -> list[Found]:
        return await _described(root, engine, await engine.external_tasks(externalTaskIdIn=wanted))

    found = on_engine(root, look)
    there = {each["id"] for each in found}
    unknown = [id for id in wanted if id not in there]
    if not found:
        raise NotFound(_gone(unknown), "`carex camunda tasks` shows the open ones; an id counts in full.")
    return found, unknown


def _name_unknown(unknown: list[str]) -> None:
    if unknown:
        raise PartlyFailed(_gone(unknown), "`carex camunda tasks` shows the open ones.")


def _gone(ids: list[str]) -> str:
    return f"No open external task {', '.join(ids)}: done already, cancelled, or never there."


async def _described(root: Root, engine: Engine, found: list[Found]) -> list[Found]:
    """External tasks as they are shown. Whether a lock holds the engine says: its clock may not be ours."""
    from carex.camunda.models import Models
    from carex.camunda.routes import route_of

    models, ids = Models(engine), [each["id"] for each in found]
    held = await engine.external_tasks(externalTaskIdIn=ids, locked=True) if ids else []
    locked = {each["id"] for each in held}
    failed = [each["id"] for each in found if each["retries"] == 0]
    incidents = await asyncio.gather(*(engine.incidents(configuration=id) for id in failed))
    incident = {each["configuration"]: each["id"] for group in incidents for each in group}
    return [
        {
            "id": each["id"],
            "topic": each["topicName"],
            "process": each["processDefinitionKey"],
            "instance": each["processInstanceId"],
            "business_key": each.get("businessKey"),
            "activity": each["activityId"],
            "created": each.get("createTime"),
            "state": _state(each, each["id"] in locked),
            "locked": each["id"] in locked,
            "worker": each["workerId"] if each["id"] in locked else None,
            "locked_until": each["lockExpirationTime"] if each["id"] in locked else None,
            "retries": each["retries"],
            "error": each["errorMessage"],
            "incident": incident.get(each["id"]),
            "queue": route_of(each["topicName"], await models.properties(each), root.settings.rabbitmq).queue,
        }
        for each in found
    ]


def _state(task: Found, locked: bool) -> str:
    if task["retries"] == 0:
        return "failed"
    if task["suspended"]:
        return "suspended"
    return "locked" if locked else "free"


def _seen_here(root: Root, ids: list[str]) -> dict[str, dict[str, Any]]:
    """What this home's queue knows of external tasks that came to it through RabbitMQ."""
    from carex.cli.tasks import on_queue
    from carex.queue import Entry, Filter, Queue

    url = root.settings.queue.url
    if not ids or (url.startswith("sqlite://") and not Path(url.removeprefix("sqlite://")).is_file()):
        return {}

    async def look(queue: Queue) -> list[Entry]:
        return [entry for id in ids for entry in (await queue.tasks(Filter(match=id)))[:1] if entry.task.key == id]

    try:
        seen = on_queue(root, look)
    except Unreachable as error:
        output.talk(f"What this home knows of them cannot be seen: {error.message}")
        return {}
    return {
        str(entry.task.key): {"task_id": entry.task.id, "state": entry.state, "reason": entry.reason} for entry in seen
    }


def _show(found: list[Found], json: bool) -> None:
    """Before something is done to tasks: which they are, for the person who may still say no."""
    for each in [] if json else found:
        output.talk(output.visible(f"{each['id']}  {each['topic']}  {each['process']}  {_holder(each)}"))


def _holder(task: Found) -> str:
    if not task["locked"]:
        return str(task["state"])
    return f"{task['state']} by {task['worker']} until {when(task['locked_until'])}"


def _row(task: Found) -> list[object]:
    here = task["here"]
    return [
        task["id"],
        task["topic"],
        task["process"],
        when(task["created"]),
        _holder(task),
        task["retries"],
        task["queue"],
        task["error"],
        here and ": ".join(filter(None, (here["state"], here["reason"]))),
    ]
