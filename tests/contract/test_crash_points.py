"""SQLite under kill -9 at any write, sync or unlink: what was acknowledged is there, and the file is whole."""

from __future__ import annotations

import asyncio
import runpy
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from carex.database import connect, read, sqlite3
from carex.queue import Entry, Filter
from carex.queue.sqlite import SqliteQueue

DRIVER = Path(__file__).with_name("crash_driver.py")
MIGRATIONS = runpy.run_path(str(DRIVER))["MIGRATIONS"]
SYNC = "fsync,fdatasync"
"""Which of them SQLite calls is a matter of its build."""


def killed_at(calls: str, number: int, what: str, folder: Path) -> list[list[str]]:
    """Run the driver until a thread of its makes so many of these calls; return what it had been told by then."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    inject = ["-e", f"inject={calls}:signal=SIGKILL:when={number}"]
    command = [sys.executable, str(DRIVER), what, str(folder / "file.db"), str(folder / "acknowledged")]
    ended = subprocess.run([*strace, *inject, *command], capture_output=True, text=True)
    if "Operation not permitted" in ended.stderr:
        pytest.skip("strace may not trace here")
    assert ended.returncode == -signal.SIGKILL, f"it was not killed: nothing was tested. {ended.stderr}"
    told = folder / "acknowledged"
    return [line.split() for line in told.read_text().splitlines()] if told.exists() else []


def every(*point: str, numbers: range) -> list[object]:
    return [pytest.param(*point, number, marks=pytest.mark.chaos) for number in numbers]


@pytest.mark.parametrize(
    ("what", "calls", "number"),
    [
        *[("queue", "pwrite64", number) for number in (1, 20, 33, 50, 251, 777)],
        *[("queue", SYNC, number) for number in (2, 30, 80)],
        *[("puts", "pwrite64", number) for number in (60, 333, 1001)],
        *[("puts", SYNC, number) for number in (20, 150)],
        *every("queue", "pwrite64", numbers=range(2, 1100, 9)),
        *every("queue", SYNC, numbers=range(4, 98, 3)),
        *every("puts", "pwrite64", numbers=range(51, 1100, 50)),
    ],
)
def test_a_kill_at_any_write_loses_nothing_that_was_acknowledged(
    what: str, calls: str, number: int, tmp_path: Path
) -> None:
    told = killed_at(calls, number, what, tmp_path)
    entries, claimable = asyncio.run(_look(tmp_path / "file.db"))
    known = {entry.task.id: entry for entry in entries}
    said: dict[str, set[str]] = {}
    for state, id in told:
        said.setdefault(state, set()).add(id)
    assert {id for state in ("failed", "waiting") for id in said.get(state, set()) if known[id].state != state} == set()
    assert {known[id].state for id in said.get("done", set()) & set(known)} <= {"done"}
    assert said.get("put", set()) - said.get("claimed", set()) <= set(known)  # others may be done and pruned
    assert {known[id].task.attempt for id in said.get("claimed", set()) & set(known)} <= {1}
    assert claimable == {entry.task.id for entry in entries if entry.state in ("waiting", "running")}
    assert _integrity(tmp_path / "file.db") == "ok"


async def _look(path: Path) -> tuple[list[Entry], set[str]]:
    """All tasks, and those that a worker would take who comes later."""
    queue = SqliteQueue(path, clock=lambda: time.time() + 7200)
    entries = await queue.tasks(Filter())
    claimed = await queue.claim(["*"], 1000)
    await queue.close()
    return entries, {delivery.task.id for delivery in claimed}


def _integrity(path: Path) -> str:
    return read(path, lambda connection: str(connection.execute("PRAGMA integrity_check").fetchone()[0]))


@pytest.mark.parametrize(
    ("calls", "number"),
    [
        *[("pwrite64", number) for number in (2, 90, 140, 190)],
        *[(SYNC, number) for number in (3, 11)],
        *every("pwrite64", numbers=range(3, 240, 5)),
        *every(SYNC, numbers=range(4, 11)),
    ],
)
def test_a_kill_in_a_migration_leaves_the_old_schema_or_the_new_one(calls: str, number: int, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    told = killed_at(calls, number, "migration", tmp_path)
    with closing(sqlite3.connect(str(path))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] >= len(told)
    connect(path, MIGRATIONS).close()
    assert _integrity(path) == "ok"
    rows = read(path, lambda connection: connection.execute("SELECT name, length FROM people").fetchall())
    assert len(rows) in ((300,) if told else (0, 300))
    assert {(len(row["name"]), row["length"]) for row in rows} <= {(400, 400)}
