"""The ledger of decisions: who is to get a piece of work is on disk before anybody is told.

Without it a retry after a crash would draw again, and the work would go to two people.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carex.database import Connection, Database, connect
from carex.people import strategies
from carex.people.schema import migrations
from carex.people.user import barrier
from carex.task import Task, Wait


@dataclass(frozen=True)
class Decision:
    """Who was chosen for a task, and why. `decided_at` is a Unix time.

    `strategies.choose(strategy, candidates, draw)` gives `user_id` again; `draw` is in the table `decisions`.
    """

    id: int
    task_id: str
    entity: str
    user_id: int
    user_name: str
    strategy: str
    round: int
    """The first decision about an entity is round 1; asked for again, it is one more."""
    decided_at: float
    reused: bool
    """Nobody was drawn for this: an earlier decision held."""
    candidates: tuple[int, ...]
    skipped: Mapping[int, str]
    """Who was not a candidate, and why."""


Register = Callable[[str], Awaitable[str]]
"""Records a home as the one that assigns people, first come, and returns the one that is."""


def home_of(connection: Connection) -> str:
    """This home's name: an id that moves with the file, and where it is, for people."""
    file = connection.execute("PRAGMA database_list").fetchone()["file"]
    id = connection.execute("SELECT id FROM home").fetchone()["id"]
    return f"{id} {socket.gethostname()}:{file}"


def home_at(path: Path) -> str:
    """The name of the home with this file, made if missing."""
    connection = connect(path, migrations())
    try:
        return home_of(connection)
    finally:
        connection.close()


class People:
    """Gives work to employees. May be called from any event loop; storage that does not answer raises `Unreachable`."""

    def __init__(
        self,
        database: Database,
        *,
        window: float,
        ledger: bool,
        retry_delay: float,
        clock: Callable[[], float],
        rng: random.Random,
        register: Register | None,
    ) -> None:
        self._database = database
        self._register = register
        self.elsewhere = ""
        """Why this home may not assign: another home on the same queue does."""
        self._window = window
        self._ledger = ledger
        self._retry_delay = retry_delay
        self._clock = clock
        self._rng = rng

    async def decide(self, task: Task, entity: str, *, strategy: str = "random", again: bool = False) -> Decision:
        """Choose who gets `entity`; the decision is on disk when this returns, so tell the portal afterwards.

        The same task gets the same person, whoever was excluded meanwhile; so does another task about the same entity
        within the window, if that person is still available. If a later task has given the entity to somebody else,
        that holds for both.
        `again` asks for a new decision; a retry of the task that asked gets the one it got.
        Raises `Wait` if nobody is available.
        """
        strategies.find(strategy)
        await self._be_at_home()
        found = await self._database.run(lambda connection: self._decide(connection, task.id, entity, strategy, again))
        if isinstance(found, Wait):
            raise found
        return found

    async def _be_at_home(self) -> None:
        """Make sure, once, that among the homes that share a queue it is this one that assigns people."""
        register = self._register
        if register is not None:
            home = await self._database.read(home_of)
            owner = await register(home)
            if owner.split()[0] != home.split()[0]:
                self.elsewhere = f"employees are assigned by another home, {owner.partition(' ')[2]}"
                raise Wait(self.elsewhere, delay=0)
            self._register = None

    async def decisions(self, *, entity: str | None = None, task_id: str | None = None) -> list[Decision]:
        """The decisions about an entity, for a task, or all; newest first."""
        given = {"entity": entity, "task_id": task_id}
        wanted = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(f"{column} = :{column}" for column in wanted) or "true"
        query = f"SELECT * FROM decisions WHERE {where} ORDER BY id DESC"  # noqa: S608 - the columns are ours
        rows = await self._database.read(lambda connection: connection.execute(query, wanted).fetchall())
        return [_decision(row, reused=row["reused_from"] is not None) for row in rows]

    async def close(self) -> None:
        await self._database.close()

    def _decide(self, connection: Connection, task_id: str, entity: str, strategy: str, again: bool) -> Decision | Wait:
        """Look up or decide, in the caller's transaction. `Wait` is returned: raised, it would undo the neighbours."""
        now = self._clock()
        latest = connection.execute(LATEST, (entity,)).fetchone()
        if self._ledger and latest and connection.execute(STORED, (task_id, entity, again)).fetchone():
            return _decision(latest, reused=True)  # not this task's own, if a later task has given it to another
        names, skipped = _eligible(connection, now)
        recent = latest and not again and now - latest["decided_at"] < self._window
        if self._ledger and recent and latest["user_id"] in names:  # who has left, or is on leave, gets nothing new
            repeated = {"task_id": task_id, "decided_at": now, "again": False, "reused_from": latest["id"]}
            return _decision(_insert(connection, {**dict(latest), **repeated}), reused=True)
        if not names:
            why = f"{len(skipped)} excluded" if skipped else "the directory is empty; add people with `carex users add`"
            return Wait(f"nobody available: {why}", delay=self._retry_delay)
        draw = self._rng.getrandbits(strategies.DRAW_BITS)
        user_id = strategies.choose(strategy, list(names), draw)
        row = {
            "task_id": task_id,
            "entity": entity,
            "round": latest["round"] + 1 if latest else 1,
            "user_id": user_id,
            "user_name": names[user_id],
            "strategy": strategy,
            "draw": draw,
            "candidates": json.dumps(list(names)),
            "skipped": json.dumps(skipped),
            "decided_at": now,
            "again": again,
            "reused_from": None,
        }
        return _decision(_insert(connection, row), reused=False)


def open_people(
    path: Path,
    *,
    window: float = 300.0,
    ledger: bool = True,
    retry_delay: float = 30.0,
    clock: Callable[[], float] = time.time,
    rng: random.Random | None = None,
    register: Register | None = None,
) -> People:
    """Open the ledger in this file, made if missing. `window` and `retry_delay` are in seconds.

    With several homes on one queue, `register` sees to it that only one of them assigns people.
    With `ledger` off no earlier decision holds and every call draws anew: only good for showing what the ledger is for.
    """
    return People(
        Database(path, migrations()),
        window=window,
        ledger=ledger,
        retry_delay=retry_delay,
        clock=clock,
        rng=rng or random.SystemRandom(),
        register=register,
    )


STORED = "SELECT 1 FROM decisions WHERE task_id = ? AND entity = ? AND again >= ? LIMIT 1"
LATEST = """
SELECT * FROM decisions
WHERE id = (SELECT coalesce(reused_from, id) FROM decisions WHERE entity = ? ORDER BY id DESC LIMIT 1)
"""
INSERT = """
INSERT INTO decisions (task_id, entity, round, user_id, user_name, strategy, draw, candidates, skipped, decided_at,
                       again, reused_from)
VALUES (:task_id, :entity, :round, :user_id, :user_name, :strategy, :draw, :candidates, :skipped, :decided_at,
        :again, :reused_from)
"""


def _eligible(connection: Connection, now: float) -> tuple[dict[int, str], dict[int, str]]:
    """The names of those who can be given work now, and why the others cannot, by id."""
    names: dict[int, str] = {}
    skipped: dict[int, str] = {}
    for id, name, excluded, until in connection.execute(
        "SELECT id, name, excluded, excluded_until FROM users ORDER BY id"
    ):
        why = barrier(excluded, until, now)
        if why:
            skipped[id] = why
        else:
            names[id] = name
    return names, skipped


def _insert(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "id": connection.execute(INSERT, row).lastrowid}


def _decision(row: Mapping[str, Any], *, reused: bool) -> Decision:
    return Decision(
        id=row["id"],
        task_id=row["task_id"],
        entity=row["entity"],
        user_id=row["user_id"],
        user_name=row["user_name"],
        strategy=row["strategy"],
        round=row["round"],
        decided_at=row["decided_at"],
        reused=reused,
        candidates=tuple(json.loads(row["candidates"])),
        skipped={int(id): why for id, why in json.loads(row["skipped"]).items()},
    )
