"""SQLite with Carex's own pragmas and nothing around it. Prints {"what": per second}."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from carex.database import Connection, connect

SCHEMA = """
CREATE TABLE tasks (id INTEGER PRIMARY KEY, payload TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0, lease REAL);
CREATE INDEX tasks_waiting ON tasks (id) WHERE state = 0;
"""
PAYLOAD = json.dumps({"sent": 12345.678901, "nap": 0.0})
CLAIM = (
    "UPDATE tasks SET state = 1, lease = ? WHERE id IN (SELECT id FROM tasks WHERE state = 0 ORDER BY id LIMIT 100) "
    "RETURNING id, payload"
)
FINISH = "UPDATE tasks SET state = 2 WHERE id = ?"
BATCH = 100


def measure(count: int) -> dict[str, float]:
    found = {}
    with database() as connection:
        found["insert_1"] = insert(connection, count // 5, 1)
    with database() as connection:
        found["insert_100"] = insert(connection, count, BATCH)
        found["claim_update_100"] = drain(connection, count, FINISH)
    with database() as connection:
        insert(connection, count, BATCH)
        found["claim_then_update_100"] = drain(connection, count, FINISH, commits=2)
    with database() as connection:
        insert(connection, count, BATCH)
        found["claim_delete_100"] = drain(connection, count, "DELETE FROM tasks WHERE id = ?")
    return found


@contextmanager
def database() -> Iterator[Connection]:
    with tempfile.TemporaryDirectory(prefix="carex-bench-") as folder:
        connection = connect(Path(folder) / "floor.db", [SCHEMA])
        yield connection
        connection.close()


def insert(connection: Connection, count: int, batch: int) -> float:
    started = time.perf_counter()
    for _ in range(count // batch):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO tasks (payload) VALUES (?)", [(PAYLOAD,)] * batch)
        connection.execute("COMMIT")
    return count / (time.perf_counter() - started)


def drain(connection: Connection, count: int, finish: str, commits: int = 1) -> float:
    """Finish the 100 claimed before and claim 100: in one commit, as a worker under load can, or in two."""
    started = time.perf_counter()
    claimed: list[tuple[int]] = []
    for _ in range(count // BATCH + 1):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(finish, claimed)
        if commits == 2:
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
        claimed = [(row["id"],) for row in connection.execute(CLAIM, (time.time(),)).fetchall()]
        connection.execute("COMMIT")
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
