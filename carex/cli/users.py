"""`carex users`: the employees who can be given work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carex.cli import output
from carex.cli.rules import rules_of
from carex.cli.users_sync import sync
from carex.cli.users_table import table
from carex.errors import UsageError
from carex.people.directory import Directory
from carex.people.doubts import goes_by_weights
from carex.people.sheet import read_sheet
from carex.people.terms import parse_terms
from carex.people.until import parse_until, written
from carex.people.user import parse_id

EMPTY = "No employees yet. Add one: carex users add ID NAME"
MENU = "1 — все сотрудники\n2 — только доступные\n3 — выход"

command = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@command.callback()
def users() -> None:
    """Employees who can be given work."""


Id = Annotated[str, typer.Argument(metavar="ID", help="The employee's id in the portal.")]


@command.command("list")
def show(
    ctx: typer.Context,
    available: Annotated[bool, typer.Option("--available", help="Only those who can be given work now.")] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Ask the portal now, instead of what it said last.")] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Show the employees: who can be given work now, or why not; their hours, weights and limits."""
    rules = rules_of(ctx.obj.settings)
    if ask and rules.sources:
        from carex.cli.rehearse import ask_portal

        ask_portal(ctx.obj)
    with _directory(ctx) as directory:
        everybody, asked = directory.standings(rules), directory.asked()
    found = [(user, why) for user, why in everybody if not available or why is None]
    if json:
        people = [{**asdict(user), "available": why is None, "why_not": why} for user, why in found]
        output.emit("users", {"users": people})
    else:
        table(found, rules, empty="Nobody is available." if everybody else EMPTY)
        if rules.sources:
            output.talk(f"The portal: {', '.join(_asked(source, asked.get(source)) for source in rules.sources)}.")


@command.command()
def add(ctx: typer.Context, id: Id, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Add an employee, or rename one. Who is excluded stays excluded."""
    with _directory(ctx) as directory:
        user = directory.add(parse_id(id), name)
    output.talk(f"{user.name} ({user.id}) is in the directory{', but still excluded' if user.excluded else ''}.")


@command.command()
def exclude(
    ctx: typer.Context,
    id: Id,
    until: Annotated[
        str | None, typer.Option(metavar="DATE|DURATION", help="As in 2026-01-31, '2026-01-31 18:00', 2h, 3d.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Shown beside the employee.")] = "",
) -> None:
    """Give an employee no work, for good or until a date. Work they have already been chosen for stays theirs."""
    now = time.time()
    end = parse_until(until, now) if until is not None else None
    if end is not None and end <= now:
        raise UsageError(f"--until {until} is in the past.")
    with _directory(ctx) as directory:
        user = directory.exclude(parse_id(id), end, reason)
    output.talk(f"{user.name} ({user.id}) is {_exclusion(user.excluded, user.excluded_until, now)}.")


@command.command()
def include(ctx: typer.Context, id: Id) -> None:
    """Give an employee work again."""
    with _directory(ctx) as directory:
        user = directory.include(parse_id(id))
    output.talk(f"{user.name} ({user.id}) is available.")


@command.command("set")
def set_(
    ctx: typer.Context,
    id: Id,
    terms: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="weight=2, schedule='mon-fri 9-18, sat 10-14', time_zone=Asia/Omsk, daily_cap=20, hourly_cap=5,"
            " open_cap=30, departments=Sales, paused=2h; KEY=none takes it away.",
        ),
    ],
) -> None:
    """Set an employee's share, hours, limits and departments, or pause them for a while."""
    changes = parse_terms(terms, time.time())
    with _directory(ctx) as directory:
        told = directory.set(parse_id(id), changes)
        user = directory.get(parse_id(id))
    output.talk(f"{user.name} ({user.id}): {told or 'that is so already'}.")
    if "weight" in changes and not goes_by_weights(rules_of(ctx.obj.settings)):
        output.talk('No strategy in use goes by weights: set people.strategy = "weighted" in carex.toml.')


@command.command()
def history(
    ctx: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this employee.")] = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Show who changed what about the employees, oldest first."""
    with _directory(ctx) as directory:
        found = directory.history(parse_id(id) if id is not None else None)
    if json:
        output.emit("users-history", {"changes": [entry._asdict() for entry in found]})
    else:
        rows = [(output.when(entry.at), entry.user_id, entry.what, entry.detail, entry.actor) for entry in found]
        output.table(["When", "ID", "What", "Change", "By"], rows, empty="Nothing was changed yet.")


@command.command()
def remove(
    ctx: typer.Context,
    id: Id,
    dry_run: Annotated[bool, output.DryRun] = False,
    yes: Annotated[bool, output.Yes] = False,
) -> None:
    """Take an employee out of the directory. The decisions for them are kept."""
    with _directory(ctx) as directory:
        user = directory.get(parse_id(id))
        if dry_run:
            output.talk(f"{user.name} ({user.id}) would be removed.")
            return
        output.confirm(f"Remove {user.name} ({user.id})?", yes)
        directory.remove(user.id)
    output.talk(f"{user.name} ({user.id}) is removed.")


@command.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="CSV with the columns id, name and, if you like, excluded, excluded_until.")
    ],
    dry_run: Annotated[bool, output.DryRun] = False,
) -> None:
    """Add and change employees as a CSV file says. Nobody is removed."""
    if dry_run:
        sheet = read_sheet(file)
        now = time.time()
        rows = [(line.id, line.name, _exclusion(bool(line.excluded), line.excluded_until, now)) for line in sheet.lines]
        output.table(["ID", "Name", "Excluded"], rows, empty=f"{file} names nobody.")
        sheet.check("good")
        return
    with _directory(ctx) as directory:
        count = directory.import_csv(file)
    output.talk(f"{count} employees imported.")


@command.command()
def browse(ctx: typer.Context) -> None:
    """Look at the employees through a menu."""
    rules = rules_of(ctx.obj.settings)
    try:
        with _directory(ctx) as directory:
            output.talk(MENU)
            for line in sys.stdin.buffer:
                choice = line.strip()
                if choice == b"3":
                    break
                if choice in (b"1", b"2"):
                    found = [each for each in directory.standings(rules) if choice == b"1" or each[1] is None]
                    table(found, rules, empty="Никого нет.")
                else:
                    output.talk("Введите 1, 2 или 3.")
                output.talk(MENU)
    except KeyboardInterrupt:
        pass
    output.talk("До свидания!")


@command.command("take-over")
def take_over(ctx: typer.Context, yes: Annotated[bool, output.Yes] = False) -> None:
    """Make this home the one that assigns people, when several homes share a queue and the one that did is gone."""
    from carex.cli.tasks import on_queue
    from carex.people.home import home_at

    output.confirm("Two homes that assign at once give deals to two people. Is the other one stopped for good?", yes)
    home = home_at(ctx.obj.people_file)
    on_queue(ctx.obj, lambda queue: queue.own("people", home, take=True))
    output.talk(f"Employees are assigned by {home.partition(' ')[2]} from now on; restart its workers.")


command.command()(sync)


@contextmanager
def _directory(ctx: typer.Context) -> Iterator[Directory]:
    directory = Directory(ctx.obj.people_file)
    try:
        yield directory
    finally:
        directory.close()


def _asked(source: str, last: tuple[float, str] | None) -> str:
    if last is None:
        return f"{source} not asked yet (--ask)"
    at, error = last
    return f"{source} asked {output.ago(time.time() - at)} ago{f' in vain: {error}' if error else ''}"


def _exclusion(excluded: bool, until: float | None, now: float) -> str:
    if not excluded or (until is not None and until <= now):
        return ""
    return "excluded" if until is None else f"excluded until {written(until)}"
