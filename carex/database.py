"""One SQLite file: a connection, a writer thread, and group commit.

Durability costs one fsync a commit. Work that arrives while a commit runs shares the next one, so that it is paid
once for many callers. A caller who is alone pays it all, and the way to the writer thread and back would cost as much
again: brief work is done in its event loop, as long as that cannot hold the loop up. Both the queue and the people live
in files of this kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from carex.errors import ConfigError, Unreachable

if TYPE_CHECKING:
    import sqlite3
else:
    try:  # Never two SQLite libraries on one file in one process: sqlite-utils makes the same choice.
        import pysqlite3.dbapi2 as sqlite3
    except ImportError:
        import sqlite3

T = TypeVar("T")
Connection = sqlite3.Connection
Row = sqlite3.Row
SQLITE_VERSION = sqlite3.sqlite_version

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's transaction before the storage counts as not answering."""

SWIFT = 0.002
"""Seconds that the last transaction may have taken for brief work to be done in an event loop."""


def wal_is_safe(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite has the WAL-reset fix: two writers can corrupt the file without (sqlite.org/changes.html)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def connect(path: Path, migrations: Sequence[str], busy_timeout: float = BUSY_TIMEOUT) -> Connection:
    """Open the file, bring its schema up to date, and set it so that a commit survives a power failure."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(str(path), timeout=busy_timeout, isolation_level=None, check_same_thread=False)
        os.chmod(path, 0o600)
        connection.row_factory = sqlite3.Row
        _keep_journal(connection, "WAL" if wal_is_safe() else "TRUNCATE", busy_timeout)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA temp_store=MEMORY")
        _migrate(connection, path, migrations)
    except (OSError, sqlite3.Error) as error:
        raise _cannot_open(path, error) from None
    return connection


def read(path: Path, work: Callable[[Connection], T]) -> T:
    """Run `work` on a connection of its own that cannot write: long reads hold nobody up."""
    try:
        connection = sqlite3.connect(f"file:{_quote(path)}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
        connection.row_factory = sqlite3.Row
        try:
            return work(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise cannot_answer(path, error) from None


class Database:
    """The writer of one file in this process. `run` may be called from any event loop."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        after_commit: Callable[[], None] | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self.path = path
        self._migrations = migrations
        self._busy_timeout = busy_timeout
        self._connection = connect(path, migrations, busy_timeout)
        self._waits = busy_timeout  # what the connection is set to
        self._after_commit = after_commit
        self._waiting: SimpleQueue[_Work | None] = SimpleQueue()  # None: nothing more will come
        self._closed = False
        self._full = False
        self._broken = False
        self._writing = threading.Lock()  # one transaction at a time on our connection
        self._pace = float("inf")  # seconds that the last transaction took
        self._brief = 0  # pieces of brief work so far
        self._shared = 0  # the last of them that had company in its turn of the loop
        self._thread = threading.Thread(target=self._write, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Connection], T], *, brief: bool = False) -> asyncio.Future[T]:
        """Have `work` run in a write transaction shared with whoever waits; it is on disk when the future is done.

        `work` must be repeatable until it is committed: when a neighbour in the same transaction fails, it runs again.
        If it is `brief`, which means a few rows, it is done in the caller's event loop when it is alone, no other
        process has the file, and transactions are quick on this disk.
        """
        if self._closed:
            raise Unreachable(f"{self.path} is closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        each = _Work(work, future, loop)
        if brief and self._pace < SWIFT and wal_is_safe():  # without WAL a commit waits for readers
            self._brief += 1
            loop.call_soon(self._at_once, each, self._brief)  # once we know who else comes in this turn of the loop
        else:
            self._waiting.put(each)
        return future

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, read, self.path, work)

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        if not self._closed:
            self._closed = True
            await asyncio.sleep(0)  # brief work of this turn of the loop comes first
            self._waiting.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _at_once(self, work: _Work, number: int) -> None:
        if number < self._brief:
            self._shared = self._brief
        alone = number > self._shared and self._waiting.empty()
        if alone and self._writing.acquire(blocking=False):
            try:
                if seized := self._seize():
                    self._commit([work])
            finally:
                self._writing.release()
            if seized:
                _resolve([work])
                return
        self._waiting.put(work)

    def _seize(self) -> bool:
        """Begin a transaction if that can be done without waiting."""
        if self._full or self._broken:
            return False
        try:
            self._wait_for_others(0.0)
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False
        return True

    def _wait_for_others(self, seconds: float) -> None:
        if seconds != self._waits:
            self._connection.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")
            self._waits = seconds

    def _write(self) -> None:
        closing = False
        while not closing:
            waiting = [self._waiting.get(), *(self._waiting.get() for _ in range(self._waiting.qsize()))]
            closing = None in waiting
            batch = [work for work in waiting if work is not None]
            if batch:
                with self._writing:
                    self._commit(batch)
                _deliver(batch)
        self._connection.close()

    def _commit(self, batch: list[_Work]) -> None:
        """Run a batch in one transaction; if any of it fails, each on its own, so that none suffers for another."""
        began = time.monotonic()
        self._pace = float("inf")
        try:
            self._transact(batch)
            self._pace = time.monotonic() - began
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits for the result
            if len(batch) > 1 and not isinstance(error, Unreachable):
                for work in batch:
                    self._commit([work])
                return
            for work in batch:  # a future takes any exception but StopIteration
                work.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
        else:
            if self._after_commit:
                with contextlib.suppress(Exception):  # nobody's result, and never the end of this thread
                    self._after_commit()

    def _transact(self, batch: list[_Work]) -> None:
        if self._broken:
            self._reopen()
        connection = self._connection
        try:
            if not connection.in_transaction:  # else it was begun by `_seize`
                self._wait_for_others(self._busy_timeout)
                if self._full:
                    # The space that somebody has freed must go into the file first: a write-ahead log that took it
                    # could never be emptied again, for that needs space too.
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    self._full = False
                connection.execute("BEGIN IMMEDIATE")
            try:
                for work in batch:
                    work.result = work.run(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # the work's own mistake, not the storage's
        except sqlite3.Error as error:
            self._full = self._full or "disk is full" in str(error)
            self._broken = self._broken or "I/O" in str(error)
            raise cannot_answer(self.path, error) from None

    def _reopen(self) -> None:
        """After a failed fsync the pages in memory prove nothing: read the file afresh (never repeat the fsync)."""
        self._connection.close()
        self._connection = connect(self.path, self._migrations, self._busy_timeout)
        self._waits = self._busy_timeout
        self._broken = False


class _Work:
    __slots__ = ("error", "future", "loop", "result", "run")

    def __init__(
        self, run: Callable[[Connection], Any], future: asyncio.Future[Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.run = run
        self.future = future
        self.loop = loop
        self.result: Any = None
        self.error: Exception | None = None


def _deliver(batch: list[_Work]) -> None:
    """Hand the results over, waking each event loop once."""
    for loop in {work.loop for work in batch}:
        mine = [work for work in batch if work.loop is loop]
        with contextlib.suppress(RuntimeError):  # that loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(batch: list[_Work]) -> None:
    for work in batch:
        if work.future.done():
            continue  # the caller gave up waiting
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.result)


def _keep_journal(connection: Connection, mode: str, patience: float) -> None:
    """Set the kind of journal. SQLite asks for the lock that this needs without its busy timeout: the wait is ours."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode={mode}")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _migrate(connection: Connection, path: Path, migrations: Sequence[str]) -> None:
    """Apply what is missing, each migration in one transaction, so that a kill leaves the old schema or the new one."""
    current = connection.execute("PRAGMA user_version").fetchone()[0]
    if current > len(migrations):
        raise ConfigError(
            f"{path} was written by a newer Carex (schema {current}, this one knows {len(migrations)}).",
            "Upgrade Carex, or start it with another --home.",
        )
    for number in range(current, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == number:
                for statement in _statements(migrations[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> list[str]:
    """The statements of a script; `executescript` would commit the transaction they belong to."""
    found, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return found


def _quote(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _cannot_open(path: Path, error: Exception) -> Exception:
    text = str(error)
    if "locked" in text or "disk is full" in text or "I/O" in text:
        return cannot_answer(path, error)
    if "not a database" in text or "malformed" in text:
        return ConfigError(
            f"{path} is damaged: {text}.", "Stop Carex, move the file aside and restore a backup; nothing was changed."
        )
    return ConfigError(
        f"{path} cannot be opened for writing: {text}.",
        f"Give the user that runs Carex the right to write in {path.parent}, or choose another folder with --home.",
    )


def cannot_answer(path: Path, error: Exception) -> Unreachable:
    """What it means for people when SQLite gives up on a file."""
    text = str(error)
    if "disk is full" in text:
        return Unreachable(f"{path}: the disk is full.", "Free some space; Carex goes on by itself.")
    if "locked" in text or "busy" in text:
        return Unreachable(f"{path} is held by another process.")
    return Unreachable(f"{path}: {text}.")
