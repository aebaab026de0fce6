"""Works on a file until somebody kills it, and writes down each thing only when it was told that it is stored.

Arguments: `queue`, `puts` or `migration`, the file, where to write down what was acknowledged. All writes are made in
one thread, for strace counts the calls of each: of `queue` in the writer's, of `puts` in that of the event loop.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from carex import database
from carex.database import connect
from carex.queue.sqlite import SqliteQueue
from carex.task import Done, Fail, Retry, Task

MIGRATIONS = [
    "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL);",
    """ALTER TABLE people ADD COLUMN length INTEGER;
    UPDATE people SET length = length(name);
    CREATE INDEX people_length ON people (length);""",
]


def migration(path: Path, acknowledged: int) -> None:
    old = connect(path, MIGRATIONS[:1])
    old.execute("BEGIN")
    old.executemany("INSERT INTO people (name) VALUES (?)", [("x" * 400,) for _ in range(300)])
    old.execute("COMMIT")
    os.write(acknowledged, b"filled -\n")
    old.close()
    connect(path, MIGRATIONS).close()
    os.write(acknowledged, b"migrated -\n")


async def queue(path: Path, acknowledged: int) -> None:
    def stored(what: str, tasks: list[Task]) -> None:
        os.write(acknowledged, "".join(f"{what} {task.id}\n" for task in tasks).encode())

    queue = SqliteQueue(path)
    stored("opened", [Task("nothing")])
    for round in range(30):
        tasks = [Task("a", {"round": round, "filling": "x" * 700}, key=f"{round}.{n}") for n in range(6)]
        await queue.put(tasks)
        stored("put", tasks)
        claimed = await queue.claim(["a"], 4)
        stored("claimed", [each.task for each in claimed])
        outcomes = [Done({"well": True}), Fail("never"), Retry("again", delay=3600), Done()]
        await queue.settle(list(zip(claimed, outcomes, strict=True)))
        done, failed, again, _ = (each.task for each in claimed)
        stored("done", [done])
        stored("failed", [failed])
        stored("waiting", [again])
        if round % 5 == 4:
            await queue.prune(0)
    await queue.close()


async def puts(path: Path, acknowledged: int) -> None:
    queue = SqliteQueue(path)
    for round in range(200):
        task = Task("a", {"round": round, "filling": "x" * 700}, key=str(round))
        await queue.put([task])
        os.write(acknowledged, f"put {task.id}\n".encode())
    await queue.close()


if __name__ == "__main__":
    file = os.open(sys.argv[3], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    if sys.argv[1] == "queue":
        database.SWIFT = 0.0
        asyncio.run(queue(Path(sys.argv[2]), file))
    elif sys.argv[1] == "puts":
        database.SWIFT = float("inf")
        asyncio.run(puts(Path(sys.argv[2]), file))
    else:
        migration(Path(sys.argv[2]), file)
