"""The directory of employees: who there is, and who gets no work for now. Every change says in `audit` who made it."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from carex.database import Row, cannot_answer, connect
from carex.errors import NotFound
from carex.people import ledger, presence
from carex.people.eligibility import sort_out
from carex.people.rules import Pool, Rules
from carex.people.schema import migrations
from carex.people.sheet import Line, read_sheet
from carex.people.until import written
from carex.people.user import User, one_line, parse_name, user_of

if TYPE_CHECKING:
    import sqlite_utils


class Employee(Protocol):
    """An employee as a plugin's directory has them: see `carex.Employee`."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def active(self) -> bool: ...
    @property
    def departments(self) -> tuple[str, ...]: ...
    @property
    def time_zone(self) -> str | None: ...


class Entry(NamedTuple):
    """A change in the directory: when, what, whose, and who made it."""

    at: float
    what: str
    user_id: int
    detail: str
    actor: str


USERS = """
SELECT users.*, count(decisions.id) AS assignments, max(decisions.decided_at) AS last_assigned
FROM users LEFT JOIN decisions ON decisions.user_id = users.id AND decisions.reused_from IS NULL
"""


class Directory:
    """The employees in one file, made if missing. Storage that does not answer raises `Unreachable`."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._connection = connect(path, migrations())

    def list(self, available: bool | None = None) -> Sequence[User]:
        """The employees by id: all, or those that are (not) available now."""
        users = [self._user(row) for row in self._rows(f"{USERS} GROUP BY users.id ORDER BY users.id")]
        return [user for user in users if available is None or user.excluded != available]

    def asked(self) -> Mapping[str, tuple[float, str]]:
        """When each source of the portal was asked last, and what went wrong then, if anything did."""
        rows = self._rows("SELECT name, asked_at, error FROM sources ORDER BY name")
        return {row["name"]: (row["asked_at"], row["error"]) for row in rows}

    def standings(self, rules: Rules) -> Sequence[tuple[User, str | None]]:
        """Everybody by id, and why they cannot be given work now, by what the portal told last; None: they can."""
        now = self._clock()
        try:
            users = self.list()
            there = presence.known(self._connection, rules, users, now, count=False)
            given = ledger.given(self._connection, users, rules, now)
            skipped = sort_out(users, Pool(), rules, there, given, now)[1]
        except self._connection.Error as error:
            raise cannot_answer(self._path, error) from None
        return [(user, skipped.get(user.id)) for user in users]

    def get(self, id: int) -> User:
        """Raise `NotFound` if there is no such employee."""
        for row in self._rows(f"{USERS} WHERE users.id = ? GROUP BY users.id", id):
            return self._user(row)
        raise NotFound(f"There is no employee with the id {id}.", "`carex users list` shows who there is.")

    def add(self, id: int, name: str) -> User:
        """Add an employee; one who is there already gets this name, and stays excluded if they are."""
        with self._change() as db:
            self._add(db, id, parse_name(name))
        return self.get(id)

    def exclude(self, id: int, until: float | None = None, reason: str = "") -> User:
        """Give this employee no work, until a Unix time or for good. Work they have been chosen for stays theirs."""
        with self._change() as db:
            self._exclude(db, self.get(id), until, one_line(reason))
        return self.get(id)

    def include(self, id: int) -> User:
        """End an exclusion, if there is one."""
        with self._change() as db:
            self._include(db, self.get(id))
        return self.get(id)

    def set(self, id: int, terms: Mapping[str, Any]) -> str:
        """Change what is agreed with an employee, as `parse_terms` gives it; return the changes."""
        with self._change() as db:
            self.get(id)
            return self._set(db, id, terms)

    def sync(self, employees: Iterable[Employee], *, dry_run: bool = False) -> Sequence[Entry]:
        """Add and rename as the portal says, and take over who is active there and in which departments; return what
        was changed. Exclusions stay, and so does a time zone that somebody has set here.
        """
        with self._change(undo=dry_run) as db:
            before = self._last_entry()
            for each in employees:
                if not each.active and not self._rows("SELECT 1 FROM users WHERE id = ?", each.id):
                    continue  # left before they ever were here
                self._add(db, each.id, "".join(filter(str.isprintable, each.name)).strip() or f"user {each.id}")
                terms: dict[str, Any] = {"active": int(each.active), "departments": ",".join(each.departments)}
                if each.time_zone and not self.get(each.id).time_zone:
                    terms["time_zone"] = each.time_zone
                self._set(db, each.id, terms)
            return self.history(after=before)

    def remove(self, id: int) -> User:
        """Take an employee out of the directory; return who it was. The decisions for them remain."""
        with self._change() as db:
            user = self.get(id)
            db.table("users").delete(id)
            self._record(db, "removed", id, user.name)
        return user

    def import_csv(self, file: Path) -> int:
        """Add, rename, exclude and include as the file says, and return how many employees it has.

        Lines that are bad are left out, and named in the `PartlyFailed` raised in the end. Nobody is removed.
        """
        sheet = read_sheet(file)
        self.take(sheet.lines)
        sheet.check("imported")
        return len(sheet.lines)

    def take(self, lines: Iterable[Line]) -> None:
        """Add, rename, exclude and include as the lines say: all of them, or none if this is interrupted."""
        with self._change() as db:
            for line in lines:
                self._add(db, line.id, line.name)
                user = self.get(line.id)
                if line.excluded is False:
                    self._include(db, user)
                elif line.excluded and (user.excluded, user.excluded_until) != (True, line.excluded_until):
                    self._exclude(db, user, line.excluded_until, "")

    def history(self, id: int | None = None, after: int = 0) -> Sequence[Entry]:
        """Who changed what, oldest first: about one employee, or all."""
        query = "SELECT * FROM audit WHERE id > ? AND (? IS NULL OR user_id = ?) ORDER BY id"
        return [Entry(**{name: row[name] for name in Entry._fields}) for row in self._rows(query, after, id, id)]

    def close(self) -> None:
        self._connection.close()

    def _add(self, db: sqlite_utils.Database, id: int, name: str) -> None:
        known = next(iter(self._rows("SELECT name FROM users WHERE id = ?", id)), None)
        if known is None:
            db.table("users").insert({"id": id, "name": name, "added": self._clock()})
            self._record(db, "added", id, name)
        elif known["name"] != name:
            db.table("users").update(id, {"name": name})
            self._record(db, "renamed", id, f"{known['name']} → {name}")

    def _set(self, db: sqlite_utils.Database, id: int, terms: Mapping[str, Any]) -> str:
        (before,) = self._rows("SELECT * FROM users WHERE id = ?", id)
        changes = {name: value for name, value in terms.items() if before[name] != value}
        told = "; ".join(f"{name} {_shown(before[name])} → {_shown(value)}" for name, value in changes.items())
        if changes:
            db.table("users").update(id, changes)
            self._record(db, "set", id, told)
        return told

    def _exclude(self, db: sqlite_utils.Database, user: User, until: float | None, reason: str) -> None:
        db.table("users").update(user.id, {"excluded": 1, "excluded_until": until, "reason": reason})
        detail = f"{'for good' if until is None else f'until {written(until)}'}{f': {reason}' if reason else ''}"
        self._record(db, "excluded", user.id, detail)

    def _include(self, db: sqlite_utils.Database, user: User) -> None:
        if user.excluded:
            db.table("users").update(user.id, {"excluded": 0, "excluded_until": None, "reason": ""})
            self._record(db, "included", user.id, "")

    def _record(self, db: sqlite_utils.Database, what: str, user_id: int, detail: str) -> None:
        entry = {"at": self._clock(), "what": what, "user_id": user_id, "detail": detail, "actor": _actor()}
        db.table("audit").insert(entry)

    def _last_entry(self) -> int:
        return int(self._rows("SELECT coalesce(max(id), 0) FROM audit")[0][0])

    @contextmanager
    def _change(self, *, undo: bool = False) -> Iterator[sqlite_utils.Database]:
        """One transaction; it takes its turn with the workers' decisions. `undo`: only to see what would be."""
        import sqlite_utils  # costs as much as the rest of `carex users list`, which changes nothing

        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield sqlite_utils.Database(self._connection, recursive_triggers=False, execute_plugins=False)
                self._connection.execute("ROLLBACK" if undo else "COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except self._connection.Error as error:
            raise cannot_answer(self._path, error) from None

    def _rows(self, query: str, *values: Any) -> Sequence[Row]:
        try:
            rows: Sequence[Row] = self._connection.execute(query, values).fetchall()
        except self._connection.Error as error:
            raise cannot_answer(self._path, error) from None
        return rows

    def _user(self, row: Row) -> User:
        return user_of(row, self._clock(), row["last_assigned"], row["assignments"])


def _shown(value: Any) -> str:
    return "none" if value in (None, "") else written(value) if isinstance(value, float) and value > 1e6 else f"{value}"


def _actor() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        return str(os.getuid())
