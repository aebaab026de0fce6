"""Rows of the SQLite queue as nouns, and an operator's filter as SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from carex.database import Connection, Row
from carex.queue.protocol import Entry, Filter
from carex.task import Task


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


TASK = "type, payload, key, window, due, source, id, attempt, created"
"""The columns that make a task, in the order of its fields."""


def task_of(columns: Sequence[Any]) -> Task:
    type, payload, *rest = columns
    return Task(type, json.loads(payload), *rest)


def entry_of(row: Row) -> Entry:
    return Entry(
        task_of([row[column] for column in TASK.split(", ")]),
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
