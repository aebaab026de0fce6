"""One file, one writer, group commit: what callers may count on when something goes wrong."""

from __future__ import annotations

import asyncio
import sqlite3 as standard
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from carex.database import BUSY_TIMEOUT, SWIFT, Connection, Database, connect, read, wal_is_safe
from carex.errors import ConfigError, Unreachable

SCHEMA = ["CREATE TABLE things (n INTEGER PRIMARY KEY);\nCREATE INDEX again ON things (n);\n"]

needs_wal = pytest.mark.skipif(not wal_is_safe(), reason="without WAL every commit may wait for readers")


def add(n: int) -> Any:
    def work(connection: Connection) -> int:
        connection.execute("INSERT INTO things VALUES (?)", (n,))
        return n

    return work


def things(path: Path) -> list[int]:
    return read(path, lambda connection: [row[0] for row in connection.execute("SELECT n FROM things ORDER BY n")])


def test_callers_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    commits = []

    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA, after_commit=lambda: commits.append(1))
        await asyncio.gather(*(database.run(add(n)) for n in range(500)))
        await database.close()

    asyncio.run(scenario())
    assert things(tmp_path / "x.db") == list(range(500))
    assert len(commits) < 50


def test_one_callers_mistake_is_its_own(tmp_path: Path) -> None:
    async def scenario() -> list[Any]:
        database = Database(tmp_path / "x.db", SCHEMA)
        results = await asyncio.gather(*(database.run(add(n)) for n in (1, 2, 2, 3)), return_exceptions=True)
        await database.close()
        return list(results)

    results = asyncio.run(scenario())
    assert things(tmp_path / "x.db") == [1, 2, 3]
    assert [isinstance(result, Exception) for result in results].count(True) == 1


def test_what_waits_at_close_is_still_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA)
        running = asyncio.ensure_future(database.run(add(1)))
        await asyncio.sleep(0)
        await database.close()
        await running
        with pytest.raises(Unreachable):
            await database.run(add(2))

    asyncio.run(scenario())
    assert things(tmp_path / "x.db") == [1]


def whose(n: int, seconds: float = 0.0) -> Any:
    """Work that tells which thread it ran in, on a disk that takes so many seconds."""

    def work(connection: Connection) -> int:
        add(n)(connection)
        time.sleep(seconds)
        return threading.get_ident()

    return work


@needs_wal
def test_brief_work_of_a_caller_who_is_alone_needs_no_other_thread(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA)
        await until_swift(database)
        assert await database.run(whose(1), brief=True) == threading.get_ident()
        assert await database.run(whose(2)) != threading.get_ident()
        await database.close()

    asyncio.run(scenario())
    assert things(tmp_path / "x.db") == [1, 2]


@needs_wal
def test_a_slow_disk_holds_no_event_loop_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA)
        assert await database.run(whose(1), brief=True) != threading.get_ident(), "nothing is known of the disk yet"
        await database.run(whose(2, seconds=0.02))
        assert await database.run(whose(3), brief=True) != threading.get_ident()
        await until_swift(database)
        assert await database.run(whose(4), brief=True) == threading.get_ident()
        await database.close()

    asyncio.run(scenario())


async def until_swift(database: Database) -> None:
    """Until it knows a quick transaction; on a busy machine the first ones may not be."""
    end = time.monotonic() + 10
    while database._pace >= SWIFT:
        assert time.monotonic() < end
        await database.run(lambda connection: None)


def test_brief_work_with_company_shares_a_commit(tmp_path: Path) -> None:
    commits = []

    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA, after_commit=lambda: commits.append(1))
        await until_swift(database)
        commits.clear()
        await asyncio.gather(*(database.run(add(n), brief=True) for n in range(500)))
        await database.close()

    asyncio.run(scenario())
    assert things(tmp_path / "x.db") == list(range(500))
    assert len(commits) < 50


def test_brief_work_waits_for_another_process_without_holding_the_loop_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA)
        await until_swift(database)
        other = connect(tmp_path / "x.db", SCHEMA)
        other.execute("BEGIN IMMEDIATE")
        waiting, began = database.run(add(1), brief=True), time.monotonic()
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert time.monotonic() - began < BUSY_TIMEOUT / 2, "the loop was held up"
        other.execute("COMMIT")
        assert await asyncio.wait_for(waiting, 10) == 1
        other.execute("BEGIN IMMEDIATE")
        late = database.run(add(2))  # and the writer has not lost its patience
        await asyncio.sleep(0.05)
        other.execute("COMMIT")
        assert await asyncio.wait_for(late, 10) == 2
        await database.close()

    asyncio.run(scenario())


def test_a_mistake_in_brief_work_is_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA)
        await until_swift(database)
        await database.run(add(1), brief=True)
        with pytest.raises(Exception, match="UNIQUE"):
            await database.run(add(1), brief=True)
        await database.run(add(2), brief=True)
        await database.close()

    asyncio.run(scenario())
    assert things(tmp_path / "x.db") == [1, 2]


def test_brief_work_that_waits_at_close_is_still_written(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA)
        await until_swift(database)
        other = connect(tmp_path / "x.db", SCHEMA)
        other.execute("BEGIN IMMEDIATE")
        last = database.run(add(1), brief=True)
        closing = asyncio.ensure_future(database.close())
        await asyncio.sleep(0.05)
        other.execute("COMMIT")
        assert await asyncio.wait_for(last, 10) == 1
        await closing

    asyncio.run(scenario())
    assert things(tmp_path / "x.db") == [1]


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    connect(tmp_path / "x.db", [*SCHEMA, "CREATE TABLE more (n);"]).close()
    with pytest.raises(ConfigError, match="newer Carex"):
        connect(tmp_path / "x.db", SCHEMA)


def test_an_older_schema_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    old = connect(tmp_path / "x.db", SCHEMA)
    old.execute("INSERT INTO things VALUES (7)")
    old.close()
    new = connect(tmp_path / "x.db", [*SCHEMA, "ALTER TABLE things ADD COLUMN name TEXT;"])
    assert tuple(new.execute("SELECT * FROM things").fetchone()) == (7, None)


def test_a_failing_migration_leaves_the_old_schema(tmp_path: Path) -> None:
    connect(tmp_path / "x.db", SCHEMA).close()
    with pytest.raises(ConfigError):
        connect(tmp_path / "x.db", [*SCHEMA, "CREATE TABLE more (n);\nCREATE TABLE things (n);"])
    again = connect(tmp_path / "x.db", SCHEMA)
    assert again.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone()[0] == 0


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database, but somebody's file" * 100)
    with pytest.raises(ConfigError, match="damaged"):
        connect(path, SCHEMA)
    assert path.read_bytes().startswith(b"not a database")


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the way")
    with pytest.raises(ConfigError, match="cannot be opened") as caught:
        connect(tmp_path / "data" / "x.db", SCHEMA)
    assert "--home" in str(caught.value)


def test_a_file_held_by_another_process_is_unreachable_not_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(tmp_path / "x.db", SCHEMA, busy_timeout=0.05)
        other = connect(tmp_path / "x.db", SCHEMA)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unreachable, match="held by another process"):
            await database.run(add(1))
        other.execute("COMMIT")
        await database.run(add(1))
        await database.close()

    asyncio.run(scenario())
    assert things(tmp_path / "x.db") == [1]


def test_a_new_file_is_opened_by_several_at_once(tmp_path: Path) -> None:
    def open_together(path: Path) -> None:
        together.wait()
        connect(path, SCHEMA).close()

    openers = 8
    together = threading.Barrier(openers)
    with ThreadPoolExecutor(openers) as threads:
        for n in range(50):
            each = [threads.submit(open_together, tmp_path / f"{n}.db") for _ in range(openers)]
            assert [future.exception() for future in each] == [None] * openers


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    connect(tmp_path / "x.db", SCHEMA).close()
    assert (tmp_path / "x.db").stat().st_mode & 0o077 == 0


def test_commits_survive_a_power_failure_and_wal_is_used_only_where_it_is_safe(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x.db", SCHEMA)
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == ("wal" if wal_is_safe() else "truncate")


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 53, 4), True),
    ],
)
def test_the_wal_reset_fix_is_recognised_by_version(version: tuple[int, ...], safe: bool) -> None:
    assert wal_is_safe(version) is safe


def test_the_file_is_an_ordinary_sqlite_file(tmp_path: Path) -> None:
    connect(tmp_path / "x.db", SCHEMA).close()
    assert standard.connect(tmp_path / "x.db").execute("SELECT count(*) FROM things").fetchone() == (0,)
