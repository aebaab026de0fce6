"""`carex migrate tasks`: the deal distributor's settings, users and waiting tasks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.errors import ConfigError, PartlyFailed, Refused, UsageError

if TYPE_CHECKING:
    from carex.migration.dotenv import Variable
    from carex.migration.lists import OldLists, Taken
    from carex.migration.tasks import Reader, Sorted
    from carex.migration.users import Kept, Roster
    from carex.people.sheet import Line
    from carex.queue import Queue


@dataclass
class Moved:
    """What became of one list: how many items, how many new tasks, and what stayed behind."""

    name: str
    failed: bool
    """Whether its tasks are failed ones here."""
    items: int = 0
    tasks: int = 0
    new: int = 0
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)

    def add(self, found: Sorted, items: int, new: int) -> None:
        self.items += items
        self.tasks += len(found.tasks) + found.repeated
        self.new += new
        self.unreadable += [{"item": output.visible(each.item), "reason": each.reason} for each in found.unreadable]
        self.unknown = dict(Counter(self.unknown) + Counter(type for _, type in found.unknown))


@dataclass
class Plan:
    """What the old installation has. `users` and `lists` are None where it was not asked for them."""

    variables: Sequence[Variable]
    roster: Roster | None
    new_people: Sequence[Line]
    kept_people: Sequence[Kept]
    lists: OldLists | None
    moved: list[Moved]
    """What is to be moved; once it is moved, what was."""
    workers: Sequence[str]

    @property
    def problems(self) -> list[str]:
        found = [f"{self.roster.file}: {problem}" for problem in self.roster.problems] if self.roster else []
        for each in self.moved:
            found += [f"{each.name}: {one['item']}: {one['reason']}" for one in each.unreadable]
            found += [f"{each.name}: {n} of type {type!r}: no handler" for type, n in each.unknown.items()]
        return found


def tasks(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="The old checkout, with .env and src/BD/users.db.")
    ] = None,
    env: Annotated[Path | None, typer.Option(metavar="FILE", help="The old .env, if it is elsewhere.")] = None,
    users: Annotated[Path | None, typer.Option(metavar="FILE", help="The old users' database, if elsewhere.")] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Try the old failed tasks again, instead of keeping them as failed.")
    ] = False,
    while_running: Annotated[
        bool, typer.Option("--while-running", help="Even if an old worker still takes tasks.")
    ] = False,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
    yes: Annotated[bool, output.Yes] = False,
) -> None:
    """Take over the deal distributor's users and waiting tasks, and say what becomes of its settings.

    Where its Redis is, stands in the old .env or in the environment (REDIS_URL). May be run again at any time.
    """
    root: Root = ctx.obj
    plan, reader = _look(root, folder, env, users, retry_errors)
    try:
        if not json:
            _tell(plan)
        if plan.workers and not (while_running or dry_run):
            raise Refused(
                f"An old worker may still take tasks ({', '.join(plan.workers)}): a deal could be given away twice.",
                "Stop it first: sudo supervisorctl stop company_worker company_server. "
                "Or say --while-running, and run this once more when it has stopped.",
            )
        if not dry_run and (plan.new_people or any(each.items for each in plan.moved)):
            _confirm(plan, yes)
            plan.moved = _move(root, plan, reader)
    finally:
        if plan.lists:
            plan.lists.close()
    if json:
        output.emit("migrate-tasks", _data(plan, dry_run))
    elif not dry_run:
        _report(plan, folder)
    if plan.problems:
        raise PartlyFailed(
            "\n  ".join([f"{len(plan.problems)} things cannot be moved:", *plan.problems[:20]]),
            "What cannot be read is in the list …:unreadable; for unknown task types write a handler "
            "(`carex handlers new NAME`) and run this again; employees can be added with `carex users add`.",
        )


def _look(
    root: Root, folder: Path | None, env: Path | None, users: Path | None, retry_errors: bool
) -> tuple[Plan, Reader]:
    """Read everything; nothing is changed, in this home or in the old one."""
    from carex.migration import dotenv
    from carex.migration.tasks import Reader
    from carex.migration.users import compare, find_users, read_known, read_users

    if folder is None and env is None and users is None:
        raise UsageError("Say where the old installation is: --from DIR.", "Or name files: --env FILE, --users FILE.")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    env = env or (folder / ".env" if folder and (folder / ".env").is_file() else None)
    values = dotenv.read_env(env) if env else {}
    file = users or (find_users(folder) if folder else None)
    roster = read_users(file) if file else None
    new, kept = compare(roster.people, read_known(root.people_file)) if roster else ([], [])
    reader = Reader(root.registry, root.settings.queue.dedupe_window, [values.get("CAREX_RANDOM", "")])
    lists, moved, workers = None, [], []
    if folder or env:
        lists = _lists(values)
        moved = [Moved(values.get("TASKS") or "task_random_queue", failed=False)]
        moved += [Moved(values.get("TASKS_ERROR") or "task_random_error_queue", failed=not retry_errors)]
        for each in moved:
            items = lists.look(each.name)
            each.add(reader.sort(items, failed=each.failed), len(items), 0)
        workers = lists.workers()
    return Plan(dotenv.fates(values, dotenv.TASKS), roster, new, kept, lists, moved, workers), reader


def _lists(values: dict[str, str]) -> OldLists:
    from carex.migration.lists import OldLists

    url = values.get("REDIS_URL") or os.environ.get("REDIS_URL")
    if not url:
        raise ConfigError(
            "Neither the old .env nor the environment says where the old Redis is.",
            "Set REDIS_URL for this command, as in REDIS_URL=redis://localhost:6379/0 carex migrate tasks …; "
            "with --users FILE alone only the employees are taken over.",
        )
    return OldLists(url)


def _confirm(plan: Plan, yes: bool) -> None:
    parts = [f"add {len(plan.new_people)} employees"] if plan.new_people else []
    parts += [f"take over {each.items} tasks from {each.name}" for each in plan.moved if each.items]
    output.confirm(f"{', '.join(parts).capitalize()}?", yes)


def _move(root: Root, plan: Plan, reader: Reader) -> list[Moved]:
    """People first: a worker that runs already must know them before the first deal comes."""
    from carex.cli.tasks import on_queue
    from carex.people.directory import Directory

    if plan.new_people:
        directory = Directory(root.people_file)
        try:
            directory.take(plan.new_people)
        finally:
            directory.close()
    lists = plan.lists
    if lists is None or not any(each.items for each in plan.moved):
        return plan.moved

    async def run(queue: Queue) -> list[Moved]:
        return [await _move_list(queue, lists, reader, each) for each in plan.moved]

    moved = on_queue(root, run)
    lists.save()
    return moved


async def _move_list(queue: Queue, lists: OldLists, reader: Reader, planned: Moved) -> Moved:
    done = Moved(planned.name, planned.failed)
    for taken in lists.take(planned.name):
        await _move_taken(queue, lists, reader, taken, done)
    return done


async def _move_taken(queue: Queue, lists: OldLists, reader: Reader, taken: Taken, done: Moved) -> None:
    from carex.migration.tasks import put

    found = reader.sort(taken.items, failed=done.failed)
    new = await put(queue, taken, found, failed=done.failed)
    lists.file(taken, [each.place for each in found.unreadable], [place for place, _ in found.unknown])
    done.add(found, len(taken.items), new)


def _tell(plan: Plan) -> None:
    """What there is."""
    if plan.variables:
        output.table(["variable", "value", "fate", "note"], plan.variables, empty="")
    if plan.roster:
        rows = [(line.id, line.name, "excluded" if line.excluded else "available", "new") for line in plan.new_people]
        rows += [
            (person.id, person.name, "excluded" if person.excluded else "available", f"kept as it is here{note}")
            for person, difference in plan.kept_people
            for note in [f": {difference}" if difference else ""]
        ]
        output.table(["ID", "employee", "there", "here"], rows, empty=f"{plan.roster.file} has no employees.")
    for each in plan.moved:
        kind = "failed here too, for `carex errors`" if each.failed else "to be done"
        output.talk(f"{each.name}: {each.items} tasks, {kind}.")
    if plan.workers:
        output.talk(f"An old worker may still take tasks: {', '.join(plan.workers)}.")


def _report(plan: Plan, folder: Path | None) -> None:
    from carex.migration.lists import MOVED
    from carex.migration.units import find_programs

    output.talk(f"\n{len(plan.new_people)} employees added, {len(plan.kept_people)} kept as they are.")
    database = plan.lists.db if plan.lists else 0
    for each in plan.moved:
        known = each.tasks - each.new
        output.talk(
            f"{each.name}: {each.new} tasks taken over{f', {known} were here already' if known else ''}"
            f"{' (failed: `carex errors list`)' if each.failed and each.new else ''}."
        )
        if each.tasks:
            output.talk(
                f"  The items are kept in {each.name}{MOVED}. Before any worker of Carex has run, this undoes it:\n"
                f"  redis-cli -n {database} RENAMENX {each.name}{MOVED} {each.name}\n"
                f"  When all is well: redis-cli -n {database} DEL {each.name}{MOVED}"
            )
    for runner in find_programs(folder):
        output.talk(f"{runner.name} was started by {runner.kind}. Stop it for good: {runner.stop}")
    output.talk("Next: carex doctor, carex serve, carex worker; as a service: carex service install --kind supervisor")


def _data(plan: Plan, dry_run: bool) -> dict[str, Any]:
    from dataclasses import asdict

    people = {
        "file": str(plan.roster.file) if plan.roster else None,
        "added": [asdict(line) for line in plan.new_people],
        "kept": [{**asdict(person), "difference": difference} for person, difference in plan.kept_people],
        "problems": list(plan.roster.problems) if plan.roster else [],
    }
    return {
        "dry_run": dry_run,
        "settings": [variable._asdict() for variable in plan.variables],
        "users": people,
        "lists": [asdict(each) for each in plan.moved],
        "old_workers": list(plan.workers),
    }
