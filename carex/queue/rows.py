"""What the SQLite queue reads: rows as nouns, an operator's filter as SQL, a task's history, the types that wait."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from carex.database import Connection, Row
from carex.queue.presence import is_alive, sign_of
from carex.queue.protocol import Delivery, Entry, Filter, Holder
from carex.task import Task, stored


def condition_of(connection: Connection, where: Filter) -> tuple[str, list[Any]]:
    """A filter as SQL. `LIKE` folds the case of ASCII only, so Cyrillic needs a function of ours."""
    parts, values = ["1"], []

    def one_of(column: str, operator: str, options: Iterable[Any]) -> None:
        found = list(options)
        if found:
            parts.append("(" + " OR ".join([f"{column} {operator} ?"] * len(found)) + ")")
            values.extend(found)

    one_of("id", "=", where.ids)
    one_of("type", "GLOB", where.types)
    one_of("state", "=", where.states)
    if where.since is not None:
        parts.append("coalesce(CASE state WHEN 'failed' THEN finished END, created) >= ?")
        values.append(where.since)
    if where.match:
        connection.create_function(
            "contains", 2, lambda text, part: part in (text or "").casefold(), deterministic=True
        )
        parts.append("contains(reason || char(10) || coalesce(key, '') || char(10) || payload, ?)")
        values.append(where.match.casefold())
    return " AND ".join(parts), values


HISTORY = 50
"""How many past attempts a task remembers."""
TASK = "type, payload, key, window, due, source, id, attempt, created, reply"
"""The columns that make a task, in the order of its fields."""


def columns_of(task: Task) -> list[Any]:
    """What `put` stores, in the order of PUT."""
    reply = dump(task.reply) if task.reply is not None else None
    columns = [task.id, task.type, dump(task.payload), task.key, task.window, task.source, task.created, reply]
    return [*columns, task.due]


PUT = "id, type, payload, key, window, source, created, reply, due"


def entry_of(row: Row) -> Entry:
    return Entry(
        stored([row[column] for column in TASK.split(", ")]),
        row["state"],
        row["reason"],
        row["crashes"],
        row["holder"],
        row["started"],
        row["finished"],
        json.loads(row["result"] or "null"),
        json.loads(row["history"] or "[]"),
    )


def dump(value: Any) -> str:
    """Compact JSON; raises TypeError or ValueError for what JSON cannot hold."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def expand(connection: Connection, types: Sequence[str]) -> list[str]:
    """Globs become the types that wait, found by hops along the index, however long the backlog is."""
    globs = [name for name in types if set(name) & set("*?[")]
    names = [name for name in types if name not in globs]
    if globs:
        from fnmatch import fnmatchcase

        found = connection.execute(
            "WITH RECURSIVE hop (type) AS (SELECT min(type) FROM tasks WHERE state = 'waiting' UNION ALL SELECT "
            "(SELECT min(type) FROM tasks WHERE state = 'waiting' AND type > hop.type) FROM hop "
            "WHERE hop.type IS NOT NULL) SELECT type FROM hop WHERE type IS NOT NULL"
        )
        names += [row[0] for row in found if row[0] not in names and any(fnmatchcase(row[0], glob) for glob in globs)]
    return names


def first_due(connection: Connection, type: str) -> float:
    row = connection.execute("SELECT min(due) FROM tasks WHERE state = 'waiting' AND type = ?", (type,)).fetchone()
    return row[0] if row[0] is not None else float("inf")


def remember(connection: Connection, id: str, outcome: str, reason: str, now: float) -> str:
    """The task's history with one attempt more; the same wait over and over is one line with a count."""
    row = connection.execute("SELECT attempt, started, holder, history FROM tasks WHERE id = ?", (id,)).fetchone()
    history = json.loads(row["history"] or "[]")
    line = {"attempt": row["attempt"], "started": row["started"], "ended": now, "holder": row["holder"]}
    line |= {"outcome": outcome, "reason": reason}
    last = history[-1] if history else {}
    if outcome == "Wait" and (last.get("outcome"), last.get("reason")) == ("Wait", reason):
        history[-1] = {**line, "started": last["started"], "times": last.get("times", 1) + 1}
    else:
        history.append(line)
    return dump(history[-HISTORY:])


def lost_of(connection: Connection, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Those deliveries that are no longer their holder's."""
    fences: dict[str, int] = {}
    for start in range(0, len(deliveries), 500):
        ids = [d.task.id for d in deliveries[start : start + 500]]
        marks = ",".join("?" * len(ids))
        fences.update(
            (row[0], row[1])
            for row in connection.execute(
                f"SELECT id, fence FROM tasks WHERE state = 'running' AND id IN ({marks})", ids
            )
        )
    return [d for d in deliveries if fences.get(d.task.id) != d.fence]


def holders_of(connection: Connection, folder: Path) -> list[Holder]:
    rows = connection.execute(
        "SELECT holders.id, pid, holders.started, count(tasks.id), type, min(tasks.started) FROM holders "
        "LEFT JOIN tasks ON state = 'running' AND holder = holders.id GROUP BY holders.id"
    )
    found = []
    for id, pid, started, running, type, since in rows:  # of a group's rows, the type is that of the least `started`
        types, silent = sign_of(folder, id)
        found.append(Holder(id, pid, started, is_alive(folder, id), running, silent, types, type or "", since))
    return found
