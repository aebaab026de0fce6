"""The old distributor's users: a SQLite file with a table of ids, names and exclusions, found by the columns' names."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from carex.database import Connection, read
from carex.errors import ConfigError, NotFound, Unreachable, UsageError
from carex.people.sheet import NO, YES, Line
from carex.people.user import parse_id, parse_name

T = TypeVar("T")
IDS = ("user_id", "id", "bitrix_id", "bitrix_user_id", "userid")
NAMES = ("user_name", "name", "username", "full_name", "fio")
EXCLUSIONS = ("is_excluded", "excluded", "exclusion", "is_exclude", "exclude")
"""Names of columns, the likeliest first, in small letters."""
SUFFIXES = (".db", ".sqlite", ".sqlite3")
SKIPPED = {"venv", ".venv", "env", ".git", "node_modules", "__pycache__", "data"}
EXAMPLE = "Name the file with --users FILE.db, or write a CSV with id,name,excluded and `carex users import` it."


class Roster(NamedTuple):
    """What could be read of the old users, and which rows could not, each with the reason."""

    file: Path
    people: Sequence[Line]
    problems: Sequence[str]


class Kept(NamedTuple):
    """Somebody who is in Carex's directory already and stays as they are; `difference` is '' if there is none."""

    person: Line
    difference: str


class Known(NamedTuple):
    name: str
    excluded: bool


def find_users(folder: Path) -> Path:
    """The users' database below an old checkout. Raises NotFound, or UsageError if there are several."""
    usual = folder / "src" / "BD" / "users.db"
    if usual.is_file():
        return usual
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file()]
    found = [path for path in files if not SKIPPED & set(path.relative_to(folder).parts[:-1]) and _has_users(path)]
    if not found:
        raise NotFound(
            f"There is no database of users in {folder}.",
            f"{EXAMPLE} With --env FILE in place of --from only the tasks are taken over.",
        )
    if len(found) > 1:
        raise UsageError(f"Several databases in {folder} have users: {', '.join(map(str, found))}.", EXAMPLE)
    return found[0]


def read_users(file: Path) -> Roster:
    """Read the old users; the file is left untouched. Raises UsageError naming what there is instead of the columns."""
    if not file.is_file():
        raise NotFound(f"There is no file {file}.", EXAMPLE)
    people: dict[int, Line] = {}
    problems = []
    for number, row in enumerate(of_copy(file, lambda connection: _rows(connection, file)), start=1):
        try:
            line = _line(*row)
            if line.id in people and people[line.id] != line:
                raise UsageError(f"the id {line.id} is there twice.")
        except UsageError as error:
            problems.append(f"row {number}: {error.message}")
        else:
            people[line.id] = line
    return Roster(file, list(people.values()), problems)


def read_known(file: Path) -> dict[int, Known]:
    """Who is in Carex's own directory; the file is left untouched, and need not be there."""
    if not file.is_file():
        return {}

    def work(connection: Connection) -> dict[int, Known]:
        rows = connection.execute("SELECT id, name, excluded FROM users").fetchall()
        return {row["id"]: Known(row["name"], bool(row["excluded"])) for row in rows}

    return of_copy(file, work)


def compare(people: Iterable[Line], known: Mapping[int, Known]) -> tuple[list[Line], list[Kept]]:
    """Who is new, and who is here already: they stay as they are, whatever the old system says."""
    new, kept = [], []
    for person in people:
        here = known.get(person.id)
        if here is None:
            new.append(person)
            continue
        told = [f"the old name is {person.name}"] if here.name != person.name else []
        if here.excluded != bool(person.excluded):
            told.append(f"{_excluded(here.excluded)} here, {_excluded(bool(person.excluded))} there")
        kept.append(Kept(person, "; ".join(told)))
    return new, kept


def of_copy(file: Path, work: Callable[[Connection], T]) -> T:
    """Read a copy of a database: even looking may write a file or two beside one in WAL mode."""
    with tempfile.TemporaryDirectory(prefix="carex-") as folder:
        copy = Path(folder, file.name)
        try:
            for suffix in ("-wal", "-journal", ""):
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
            return read(copy, work)
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
        except Unreachable as error:
            raise UsageError(f"{file} is no database that can be read: {error.message}", EXAMPLE) from None


def _rows(connection: Connection, file: Path) -> list[tuple[Any, Any, Any]]:
    tables = _tables(connection)
    fitting = {table: columns for table, columns in tables.items() if all(columns)}
    if not fitting:
        there = "; ".join(f"{table} ({', '.join(_columns(connection, table))})" for table in tables) or "no table"
        raise UsageError(
            f"{file} has no table with an id, a name and an exclusion ({', '.join(EXCLUSIONS[:3])}). It has: {there}.",
            EXAMPLE,
        )
    if len(fitting) > 1 and "users" not in fitting:
        raise UsageError(f"{file} has several tables of users: {', '.join(fitting)}.", EXAMPLE)
    table = "users" if "users" in fitting else next(iter(fitting))
    wanted = ", ".join(_quoted(str(column)) for column in fitting[table])
    return [tuple(row) for row in connection.execute(f"SELECT {wanted} FROM {_quoted(table)}").fetchall()]  # noqa: S608 - quoted


def _tables(connection: Connection) -> dict[str, tuple[str | None, str | None, str | None]]:
    """The columns for id, name and exclusion of each table, None where there is none."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    tables = {}
    for table in names:
        by_name = {column.lower(): column for column in _columns(connection, table)}
        columns = [next((by_name[name] for name in like if name in by_name), None) for like in (IDS, NAMES, EXCLUSIONS)]
        tables[table] = (columns[0], columns[1], columns[2])
    return tables


def _columns(connection: Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()]


def _has_users(file: Path) -> bool:
    with suppress(UsageError, ConfigError):
        return any(all(columns) for columns in of_copy(file, _tables).values())
    return False


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _line(id: Any, name: Any, excluded: Any) -> Line:
    said = "" if excluded is None else str(excluded).strip().lower()
    line = Line(parse_id(str(id).strip()), parse_name(str(name or "")), said in YES)
    if said not in YES | NO:
        raise UsageError(f"employee {line.id}: {said[:40]!r} under the exclusion is neither yes nor no.")
    return line


def _excluded(yes: bool) -> str:
    return "excluded" if yes else "available"
