"""The answers that the SQLite queue keeps until they were sent."""

from __future__ import annotations

import json
from collections.abc import Sequence

from carex.database import Connection
from carex.queue.protocol import SENDING, Answer
from carex.queue.rows import dump


def keep(connection: Connection, answers: Sequence[Answer], now: float) -> None:
    rows = [(answer.id, dump(answer.reply), answer.body, now + SENDING) for answer in answers]
    connection.executemany("INSERT INTO answers (id, reply, body, due) VALUES (?, ?, ?, ?)", rows)


def take(connection: Connection, limit: int, now: float) -> list[Answer]:
    """The oldest of those that nobody is sending, to be sent by the caller."""
    rows = connection.execute(
        "UPDATE answers SET due = ? WHERE seq IN (SELECT seq FROM answers WHERE due <= ? ORDER BY seq LIMIT ?) "
        "RETURNING seq, id, reply, body",
        (now + SENDING, now, limit),
    ).fetchall()
    rows.sort(key=lambda row: row["seq"])
    return [Answer(row["id"], json.loads(row["reply"]), row["body"]) for row in rows]


def forget(connection: Connection, ids: Sequence[str]) -> None:
    connection.executemany("DELETE FROM answers WHERE id = ?", [(id,) for id in ids])


def count(connection: Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM answers").fetchone()[0])
