"""`carex errors`: look at failed tasks, retry or delete them. Together they are `task_random_error_queue`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.tasks import Limit, Match, Since, Types, on_queue, plain, print_tasks, start
from carex.cli.tasks import show as show_task
from carex.errors import NotFound, PartlyFailed, UsageError
from carex.queue import Entry, Filter, Queue

QUEUE = "task_random_error_queue"
AT_ONCE = 500
"""How many ids go into one question to the queue."""

command = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
command.command("show")(show_task)
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...")]
All = Annotated[bool, typer.Option("--all", help="Every failed task.")]
Act = Callable[[Queue, Filter], Awaitable[int]]


@command.callback()
def errors() -> None:
    """Look at failed tasks, retry or delete them."""


@command.command("list")
def list_(
    ctx: typer.Context,
    type: Types = None,
    since: Since = None,
    match: Match = None,
    limit: Limit = 50,
    group: Annotated[bool, typer.Option("--group", help="By cause, the most frequent first.")] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """List failed tasks, newest first, or their causes."""
    where = Filter(types=type or (), states=["failed"], since=start(since), match=match)

    async def look(queue: Queue) -> tuple[int, list[Entry]]:
        found = await queue.tasks(where if group else replace(where, limit=limit))
        return (await queue.counts()).of("failed"), found

    total, found = on_queue(ctx.obj, look)
    causes = causes_of(found)[:limit] if group else []
    if json:
        content = {"causes": causes} if group else {"tasks": [plain(entry) for entry in found]}
        output.emit("errors", {"queue": QUEUE, "failed": total, **content})
        return
    if group:
        columns = ["tasks", "type", "cause", "latest", "example"]
        rows = [[output.when(each[name]) if name == "latest" else each[name] for name in columns] for each in causes]
        output.table([column.capitalize() for column in columns], rows, empty="No such failed tasks.")
    else:
        print_tasks(found, empty="No such failed tasks.")
    output.talk(f"{QUEUE}: {total} failed in all.")


@command.command()
def retry(
    ctx: typer.Context,
    ids: Ids = None,
    all: All = False,
    type: Types = None,
    since: Since = None,
    match: Match = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    yes: Annotated[bool, output.Yes] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Let failed tasks run again, with fresh attempts."""
    chosen = _chosen(ids, all, type, since, match)
    _do(ctx.obj, "retried", "Retry", lambda queue, where: queue.requeue(where), chosen, dry_run, yes, json)


@command.command()
def delete(
    ctx: typer.Context,
    ids: Ids = None,
    all: All = False,
    type: Types = None,
    since: Since = None,
    match: Match = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    yes: Annotated[bool, output.Yes] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Delete failed tasks for good."""
    chosen = _chosen(ids, all, type, since, match)
    _do(ctx.obj, "deleted", "Delete", lambda queue, where: queue.delete(where), chosen, dry_run, yes, json)


@dataclass(frozen=True)
class Chosen:
    """The failed tasks that a command is about: these ids, or all that fit."""

    where: Filter
    ids: Sequence[str] = ()

    def filters(self) -> list[Filter]:
        if not self.ids:
            return [self.where]
        parts = [self.ids[i : i + AT_ONCE] for i in range(0, len(self.ids), AT_ONCE)]
        return [replace(self.where, ids=part) for part in parts]


def _chosen(ids: list[str] | None, all: bool, types: list[str] | None, since: str | None, match: str | None) -> Chosen:
    bulk = all or bool(types) or since is not None or match is not None
    if bool(ids) == bulk:
        raise UsageError(
            "Say which failed tasks: either ids, or --all, --type, --since, --match.",
            "`carex errors list` shows them.",
        )
    where = Filter(types=types or (), states=["failed"], since=start(since), match=match)
    return Chosen(where, list(dict.fromkeys(ids or [])))


def _do(root: Root, done: str, verb: str, act: Act, chosen: Chosen, dry_run: bool, yes: bool, json: bool) -> None:
    """Find what is meant, ask if it is many, act, and say what was not there."""

    async def look(queue: Queue) -> list[Entry]:
        return [entry for where in chosen.filters() for entry in await queue.tasks(where)]

    found = on_queue(root, look)
    there = {entry.task.id for entry in found}
    unknown = [id for id in chosen.ids if id not in there]
    if chosen.ids and not found:
        raise NotFound(f"No failed task {', '.join(unknown)}.", "`carex errors list` shows them; an id counts in full.")
    number = len(found)
    if not dry_run and found:
        if not chosen.ids:
            output.confirm(f"{verb} {number} failed task{'s' if number > 1 else ''}?", yes)

        async def work(queue: Queue) -> int:
            return sum([await act(queue, where) for where in chosen.filters()])

        number = on_queue(root, work)
    if json:
        output.emit("errors", {done: number, "dry_run": dry_run, "unknown": unknown})
    else:
        if dry_run:
            print_tasks(found, empty="No such failed tasks.")
        output.talk(f"{number} would be {done}." if dry_run else f"{number} {done}.")
    if unknown:
        raise PartlyFailed(f"No failed task {', '.join(unknown)}.", "`carex errors list` shows them.")


def causes_of(found: list[Entry]) -> list[dict[str, Any]]:
    """Failed tasks by type and reason, numbers in reasons apart; the most frequent cause first."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        groups.setdefault((entry.task.type, re.sub(r"\d+", "…", entry.reason)), []).append(entry)
    causes = [
        {
            "tasks": len(entries),
            "type": type,
            "cause": cause,
            "latest": max(entry.finished or 0.0 for entry in entries),
            "example": entries[0].task.id,
        }
        for (type, cause), entries in groups.items()
    ]
    return sorted(causes, key=lambda each: each["tasks"], reverse=True)
