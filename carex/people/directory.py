"""The directory of employees: who there is, and who gets no work for now. Every change says in `audit` who made it."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carex.database import Row, cannot_answer, connect
from carex.errors import NotFound
from carex.people.schema import migrations
from carex.people.sheet import read_sheet
from carex.people.until import written
from carex.people.user import User, barrier, one_line, parse_name

if TYPE_CHECKING:
    import sqlite_utils

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
        with self._change() as db:
            for line in sheet.lines:
                self._add(db, line.id, line.name)
                user = self.get(line.id)
                if line.excluded is False:
                    self._include(db, user)
                elif line.excluded and (user.excluded, user.excluded_until) != (True, line.excluded_until):
                    self._exclude(db, user, line.excluded_until, "")
        sheet.check("imported")
        return len(sheet.lines)

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

    @contextmanager
    def _change(self) -> Iterator[sqlite_utils.Database]:
        """One transaction; it takes its turn with the workers' decisions."""
        import sqlite_utils  # costs as much as the rest of `carex users list`, which changes nothing

        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield sqlite_utils.Database(self._connection, recursive_triggers=False, execute_plugins=False)
                self._connection.execute("COMMIT")
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
        excluded = barrier(row["excluded"], row["excluded_until"], self._clock()) is not None
        return User(
            id=row["id"],
            name=row["name"],
            excluded=excluded,
            excluded_until=row["excluded_until"] if excluded else None,
            reason=row["reason"] if excluded else "",
            added=row["added"],
            last_assigned=row["last_assigned"],
            assignments=row["assignments"],
        )


def _actor() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        return str(os.getuid())
