"""SQLite: a process that has its tasks from another, as a worker's cells have, and dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carex.queue import Delivery
from carex.queue.sqlite import POLL, SqliteQueue
from carex.task import Task

CELL = """
import asyncio, sys
from pathlib import Path
from carex.queue import Delivery
from carex.queue.sqlite import SqliteQueue
from carex.task import Task

async def main():
    queue = SqliteQueue(Path(sys.argv[1]))
    lost = await queue.extend([Delivery(Task("a", id=sys.argv[2]), int(sys.argv[3]), "", 0, 0.0)])
    print("lost" if lost else "held", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@contextmanager
def cell(path: Path, delivery: Delivery) -> Iterator[None]:
    """A process that takes a task over, and is killed at the end."""
    command = [sys.executable, "-c", CELL, str(path), delivery.task.id, str(delivery.fence)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield
        process.kill()


@pytest.mark.parametrize("taken_back", [True, False])
def test_who_handed_a_task_over_may_take_it_back_before_others_find_it(taken_back: bool, tmp_path: Path) -> None:
    async def scenario() -> list[Delivery]:
        ours, others = SqliteQueue(tmp_path / "q.db"), SqliteQueue(tmp_path / "q.db")
        await ours.put([Task("a")])
        (delivery,) = await ours.claim(["a"], 1)
        with cell(tmp_path / "q.db", delivery):
            assert await others.claim(["a"], 1) == []
            await asyncio.sleep(POLL)  # so that it looks again at the next claim
        assert await others.claim(["a"], 1) == []
        if taken_back:
            assert await ours.extend([delivery]) == []
        found = await others.claim(["a"], 1, wait=3.0)
        await ours.close()
        await others.close()
        return found

    found = asyncio.run(scenario())
    assert [each.crashes for each in found] == ([] if taken_back else [1])
