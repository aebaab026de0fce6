"""The ledger of decisions as SQL: reading and writing in whatever transaction the caller has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from carex.database import Connection, Row
from carex.people.eligibility import Given
from carex.people.inputs import Inputs
from carex.people.rules import Rules
from carex.people.user import User, user_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

UNTOLD = 86400.0
"""Seconds for which a decision counts as open although the portal has not confirmed it."""
HOUR = 3600.0


@dataclass(frozen=True)
class Decision:
    """Who was chosen for a task, and why. Times are Unix seconds.

    `strategies.choose(strategy, inputs)` gives `user_id` again.
    """

    id: int
    task_id: str
    entity: str
    user_id: int
    user_name: str
    strategy: str
    """As the rules have it, a chain as a whole; `fallback` if nobody could be chosen."""
    pool: str
    """Empty: no pool's rule fitted."""
    chosen_by: str
    """Which strategy of a chain chose."""
    note: str
    """In its own words."""
    round: int
    """The first decision about an entity is round 1; asked for again, it is one more."""
    decided_at: float
    reused: bool
    """Nobody was drawn for this: an earlier decision held."""
    candidates: tuple[int, ...]
    skipped: Mapping[int, str]
    """Who was not a candidate, and why."""
    inputs: Inputs
    told_at: float | None
    """When the portal answered; None: not yet, or nobody wrote it down."""
    reply: str
    """What it answered."""


def decision_of(row: Row | Mapping[str, Any], *, reused: bool) -> Decision:
    return Decision(
        id=row["id"],
        task_id=row["task_id"],
        entity=row["entity"],
        user_id=row["user_id"],
        user_name=row["user_name"],
        strategy=row["strategy"],
        pool=row["pool"],
        chosen_by=row["chosen_by"] or row["strategy"],
        note=row["note"],
        round=row["round"],
        decided_at=row["decided_at"],
        reused=reused,
        candidates=tuple(json.loads(row["candidates"])),
        skipped={int(id): why for id, why in json.loads(row["skipped"]).items()},
        inputs=Inputs.of(row["draw"], row["candidates"], row["inputs"]),
        told_at=row["told_at"],
        reply=row["reply"],
    )


def latest(connection: Connection, entity: str) -> dict[str, Any] | None:
    """The decision that holds for an entity: the newest, or the one that the newest repeats."""
    row = connection.execute(
        "SELECT * FROM decisions WHERE id ="
        " (SELECT coalesce(reused_from, id) FROM decisions WHERE entity = ? ORDER BY id DESC LIMIT 1)",
        (entity,),
    ).fetchone()
    return dict(row) if row else None


def has_decided(connection: Connection, task_id: str, entity: str, again: bool) -> bool:
    """Whether there is a decision for this task, one that was asked for anew if `again` says so."""
    query = "SELECT 1 FROM decisions WHERE task_id = ? AND entity = ? AND again >= ? LIMIT 1"
    return connection.execute(query, (task_id, entity, again)).fetchone() is not None


def insert(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a decision; return its row, with the id."""
    return {"told_at": None, "reply": "", **row, "id": connection.execute(INSERT, row).lastrowid}


def tell(connection: Connection, id: int, at: float, reply: str) -> None:
    """Write down what the portal answered; a decision that repeats another is the other one's."""
    one = "id = (SELECT coalesce(reused_from, id) FROM decisions WHERE id = ?)"
    connection.execute(f"UPDATE decisions SET told_at = ?, reply = ? WHERE {one}", (at, reply, id))  # noqa: S608


def find(connection: Connection, wanted: Mapping[str, Any], since: float = 0.0) -> list[Row]:
    """The decisions in which these columns have these values, newest first."""
    where = " AND ".join(["decided_at >= :since", *(f"{column} = :{column}" for column in wanted)])
    query = f"SELECT * FROM decisions WHERE {where} ORDER BY id DESC"  # noqa: S608 - the columns are ours
    found: list[Row] = connection.execute(query, {**wanted, "since": since}).fetchall()
    return found


def users(connection: Connection, now: float) -> list[User]:
    return [user_of(row, now) for row in connection.execute("SELECT * FROM users ORDER BY id")]


def given(connection: Connection, users: Iterable[User], rules: Rules, now: float) -> dict[int, Given]:
    """How much those with a cap have been given; of the others nobody needs to know."""
    return {
        user.id: Given(
            today=0 if user.daily_cap is None else _count(connection, user.id, _midnight(now, rules.zone(user))),
            hour=0 if user.hourly_cap is None else _count(connection, user.id, now - HOUR + 1e-6),
        )
        for user in users
        if user.daily_cap is not None or user.hourly_cap is not None
    }


def given_since(connection: Connection, ids: Iterable[int], asked_at: float, now: float) -> dict[int, int]:
    """How much each was given that the portal's answer of this time may not count: told since, or not told yet."""
    query = """
        SELECT (SELECT count(*) FROM decisions WHERE user_id = :id AND reused_from IS NULL AND told_at >= :asked)
             + (SELECT count(*) FROM decisions WHERE user_id = :id AND reused_from IS NULL AND told_at IS NULL
                                                     AND decided_at > :recent)
    """
    wanted = {"asked": asked_at, "recent": now - UNTOLD}
    return {id: connection.execute(query, {**wanted, "id": id}).fetchone()[0] for id in ids}


def given_lately(connection: Connection, ids: Iterable[int], now: float) -> dict[int, int]:
    """How much each was given in the last day."""
    return {id: _count(connection, id, now - 86400) for id in ids}


def state(
    connection: Connection, pool: str, strategies: Iterable[str], ids: Iterable[int]
) -> dict[str, dict[int, tuple[int, float]]]:
    """What these strategies have stored in this pool for these employees."""
    wanted = set(ids)
    found: dict[str, dict[int, tuple[int, float]]] = {name: {} for name in strategies}
    query = "SELECT strategy, user_id, turn, credit FROM turns WHERE pool = ?"
    for strategy, user_id, turn, credit in connection.execute(query, (pool,)):
        if strategy in found and user_id in wanted:
            found[strategy][user_id] = (turn, credit)
    return {name: each for name, each in found.items() if each}


def remember(
    connection: Connection, pool: str, strategy: str, chosen: int, turn: int, credits: Mapping[int, float]
) -> None:
    """Store whose turn it was, and what a strategy wants to remember for its next decision."""
    store = (
        "INSERT INTO turns (pool, strategy, user_id, {0}) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET {0} = excluded.{0}"
    )
    rows = [(pool, strategy, id, credit) for id, credit in credits.items()]
    connection.executemany(store.format("credit"), rows)
    connection.execute(store.format("turn"), (pool, strategy, chosen, turn))


def _count(connection: Connection, user_id: int, since: float) -> int:
    query = "SELECT count(*) FROM decisions WHERE user_id = ? AND decided_at >= ? AND reused_from IS NULL"
    return int(connection.execute(query, (user_id, since)).fetchone()[0])


def _midnight(now: float, zone: ZoneInfo | None) -> float:
    """When the day began, by the clocks of this time zone."""
    local = datetime.fromtimestamp(now, zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


INSERT = """
INSERT INTO decisions (task_id, entity, round, user_id, user_name, strategy, draw, candidates, skipped, decided_at,
                       again, reused_from, pool, chosen_by, note, inputs)
VALUES (:task_id, :entity, :round, :user_id, :user_name, :strategy, :draw, :candidates, :skipped, :decided_at,
        :again, :reused_from, :pool, :chosen_by, :note, :inputs)
"""
