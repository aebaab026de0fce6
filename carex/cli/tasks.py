"""`carex tasks`: look at tasks."""

from __future__ import annotations

import asyncio
import gzip
import json as jsons
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from carex.cli import Root, output
from carex.cli.durations import seconds
from carex.cli.process import queue_of
from carex.errors import NotFound, UsageError
from carex.queue import STATES, Entry, Filter, Queue

if TYPE_CHECKING:
    from carex.people import Decision

T = TypeVar("T")
LOG_LINES = 100
"""The most lines of the log that are shown for one task: the latest."""

command = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
Types = Annotated[list[str] | None, typer.Option("--type", help="Only these task types; patterns as in 'bitrix_*'.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only as young as this: 30s, 15m, 2h, 3d.")]
Match = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Only with this in the reason, the key or the payload.")
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest.")]


@command.callback()
def tasks() -> None:
    """Look at tasks."""


@command.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[list[str] | None, typer.Option(help=f"Only in this state: {', '.join(STATES)}.")] = None,
    type: Types = None,
    since: Since = None,
    match: Match = None,
    limit: Limit = 50,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """List tasks, newest first."""
    states = [known for known in STATES if known in (state or [])]
    unknown = [each for each in state or [] if each not in STATES]
    if unknown:
        raise UsageError(f"No state {unknown[0]!r}.", f"There are: {', '.join(STATES)}.")
    where = Filter(types=type or (), states=states, since=start(since), match=match, limit=limit)
    found = on_queue(ctx.obj, lambda queue: queue.tasks(where))
    if json:
        output.emit("tasks", {"tasks": [plain(entry) for entry in found]})
    else:
        print_tasks(found, empty="No such tasks.")


@command.command()
def show(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The id, or its beginning.")],
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Show all about one task: its attempts, who was chosen, and its lines in the log."""
    root: Root = ctx.obj
    entry = on_queue(root, lambda queue: one(queue, id))
    decisions = _decisions(root.people_file, entry.task.id)
    log = _log_lines(root.home / "logs", entry.task.id)
    if json:
        output.emit("task", {**plain(entry), "decisions": [asdict(each) for each in decisions], "log": log})
    else:
        _tell(entry, decisions, log)


def on_queue(root: Root, work: Callable[[Queue], Awaitable[T]]) -> T:
    """Run `work` with the queue that the settings name, and close it."""
    settings = root.settings

    async def run() -> T:
        queue = queue_of(settings)
        try:
            return await work(queue)
        finally:
            await queue.close()

    return asyncio.run(run())


async def one(queue: Queue, id: str) -> Entry:
    """The task with this id, or with an id that begins so. Raises NotFound, or UsageError if there are several."""
    found = await queue.tasks(Filter(ids=[id]))
    if not found:
        found = [entry for entry in await queue.tasks(Filter()) if id and entry.task.id.startswith(id)]
    if not found:
        raise NotFound(f"No task {id!r}.", "`carex tasks list` shows the newest; finished ones are kept for a while.")
    if len(found) > 1:
        raise UsageError(f"{len(found)} tasks have an id that begins with {id!r}.", "Give more of it.")
    return found[0]


def start(since: str | None) -> float | None:
    """The Unix time that `--since` means."""
    return time.time() - seconds(since) if since is not None else None


def plain(entry: Entry) -> dict[str, Any]:
    """A task for programs."""
    rest = {name: value for name, value in asdict(entry).items() if name != "task"}
    return {**asdict(entry.task), **rest}


def print_tasks(found: list[Entry], *, empty: str) -> None:
    rows = [
        [
            entry.task.id,
            output.when(entry.task.created),
            entry.task.type,
            _state(entry),
            entry.task.attempt,
            entry.reason,
        ]
        for entry in found
    ]
    output.table(["ID", "Created", "Type", "State", "Attempt", "Reason"], rows, empty=empty)


def _state(entry: Entry) -> str:
    wait = entry.task.due - time.time()
    if entry.state == "running":
        return f"running for {output.ago(time.time() - (entry.started or 0))} at {entry.holder}"
    return f"waiting, due in {output.ago(wait)}" if entry.state == "waiting" and wait > 0 else entry.state


def _tell(entry: Entry, decisions: list[Decision], log: list[str]) -> None:
    task = entry.task
    facts = {
        "Task": f"{task.id}  {task.type}",
        "State": _state(entry) + (f": {entry.reason}" if entry.reason else ""),
        "Payload": jsons.dumps(task.payload, ensure_ascii=False),
        "Key": task.key,
        "Came": f"{output.when(task.created)} from {task.source}",
        "Attempt": f"{task.attempt}, crashes {entry.crashes}",
        "Running": f"since {output.when(entry.started)} at {entry.holder}" if entry.state == "running" else None,
        "Ended": output.when(entry.finished) if entry.finished else None,
        "Result": jsons.dumps(entry.result, ensure_ascii=False) if entry.result is not None else None,
    }
    for name, value in facts.items():
        if value is not None:
            _say(f"{name:9}{value}")
    for each in entry.history:
        times = f" × {each['times']}" if each.get("times", 1) > 1 else ""
        _say(f"  {output.when(each['ended'])}  attempt {each['attempt']}: {each['outcome']}{times}  {each['reason']}")
    for made in decisions:
        how = "decided before" if made.reused else f"{made.strategy} of {len(made.candidates)}"
        _say(f"Chosen   {made.user_id} {made.user_name} for {made.entity} at {output.when(made.decided_at)} ({how})")
        for user, why in made.skipped.items():
            _say(f"  not {user}: {why}")
    if log:
        _say("Log")
    for line in log:
        _say(f"  {line}")


def _say(text: str) -> None:
    typer.echo(output.visible(text))


def _decisions(file: Path, task_id: str) -> list[Decision]:
    if not file.is_file():
        return []
    from carex.people import open_people

    async def look() -> list[Decision]:
        people = open_people(file)
        try:
            return await people.decisions(task_id=task_id)
        finally:
            await people.close()

    return asyncio.run(look())


def _log_lines(folder: Path, task_id: str) -> list[str]:
    """The task's latest lines in the debug log and in what was rotated away from it, oldest first."""
    found = deque[bytes](maxlen=LOG_LINES)
    for path in sorted(folder.glob("company_debug.log*"), key=os.path.getmtime):
        found.extend(_lines_with(task_id.encode(), path))
    return [line.decode("utf-8", "replace").rstrip() for line in found]


def _lines_with(text: bytes, path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            yield from (line for line in lines if text in line)
    except (OSError, EOFError):
        return  # unreadable, or being compressed as we look
