"""The embedded queue: one SQLite file that many processes share. No service to install, a commit a group of callers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from carex.database import Connection, Database, wal_is_safe
from carex.errors import Unreachable
from carex.queue import answers as unsent
from carex.queue.presence import Bell, Presence, is_alive, sign_of
from carex.queue.protocol import Answer, Counts, Delivery, Entry, Filter, Placed
from carex.queue.rows import (
    PUT,
    TASK,
    columns_of,
    condition_of,
    dump,
    entry_of,
    expand,
    first_due,
    holders_of,
    lost_of,
    remember,
)
from carex.task import BpmnError, Crash, Done, Fail, Outcome, Retry, Task, Unfinished, Wait, stored

T = TypeVar("T", bound=tuple[Any, ...])
POLL = 1.0
"""Seconds between looks for dead holders, and for tasks of which no bell told."""
FEW = 8
"""How many tasks may be put from within the caller's event loop."""
HELD = "id = ? AND fence = ? AND +state = 'running'"
"""What is true of a task as long as its lease is ours. (The + keeps SQLite to the index on the id.)"""


def boot_clock() -> float:
    """Seconds since the machine started, the same for all its processes; setting the clock does not move it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()


class SqliteQueue:
    """See `Queue` for the promises. `clock` gives Unix seconds, `ticks` the seconds that leases are measured in."""

    durability = (
        f"Tasks are in SQLite ({'WAL' if wal_is_safe() else 'TRUNCATE'}, synchronous=FULL): "
        "a power failure now would cost none that was accepted."
    )

    def __init__(
        self,
        path: Path,
        *,
        lease: float = 30.0,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = boot_clock,
    ) -> None:
        self._lease = lease
        self._clock = clock
        self._ticks = ticks
        self._folder = path.with_suffix(".holders")
        self._bell = Bell(self._folder)
        self._news = False  # whether the running transaction makes a task claimable
        versions = [files("carex.queue").joinpath(name).read_text() for name in ("schema.sql", "schema_2.sql")]
        self._db = Database(path, versions, after_commit=self._ring)
        self._presence: Presence | None = None
        self._looked = float("-inf")
        self._handed: set[str] = set()  # dead holders that others have to look after

    # ------------------------------------------------------------------ the way of a task

    async def put(self, tasks: Sequence[Task], *, failed: str | None = None) -> list[Placed]:
        rows = [columns_of(task) for task in tasks]
        return await self._db.run(lambda connection: self._put(connection, rows, failed), brief=len(rows) <= FEW)

    def _put(self, connection: Connection, rows: Sequence[list[Any]], failed: str | None) -> list[Placed]:
        now = self._clock()
        standing = ("waiting", None, "") if failed is None else ("failed", now, failed)
        placed = []
        for id, type, payload, key, *rest, due in rows:
            holder_of_key = (
                key
                and connection.execute(
                    "SELECT id FROM tasks WHERE key = ? "
                    "AND (state IN ('waiting', 'running') OR finished + window > ?) LIMIT 1",
                    (key, now),
                ).fetchone()
            )
            if holder_of_key:
                placed.append(Placed(holder_of_key[0], new=False))
            else:
                connection.execute(
                    f"INSERT INTO tasks ({PUT}, state, finished, reason) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) "
                    "ON CONFLICT (id) DO NOTHING",
                    (id, type, payload, key, *rest, due or now, *standing),
                )
                placed.append(Placed(id, new=True))
        self._news = True
        return placed

    async def claim(self, types: Sequence[str], limit: int, wait: float = 0.0) -> list[Delivery]:
        end = time.monotonic() + wait
        presence = await self._register(types)
        while True:
            presence.beat()
            claimed, next_due = await _to_its_end(
                self._db.run(lambda connection: self._claim(connection, types, limit))
            )
            left = end - time.monotonic()
            if claimed or left <= 0:
                return claimed
            await presence.woken(min(left, POLL, max(next_due - self._clock(), 0.0)))

    def _claim(self, connection: Connection, types: Sequence[str], limit: int) -> tuple[list[Delivery], float]:
        self._recover(connection)
        now = self._clock()
        names = expand(connection, types)
        if not names or limit < 1:
            return [], float("inf")
        each = (
            "SELECT * FROM (SELECT seq, due FROM tasks WHERE state = 'waiting' AND type = ? AND due <= ? "
            "ORDER BY due, seq LIMIT ?)"
        )
        oldest = f"SELECT seq FROM ({' UNION ALL '.join([each] * len(names))}) ORDER BY due, seq LIMIT ?"
        values = [value for name in names for value in (name, now, limit)]
        cursor = connection.cursor()
        cursor.row_factory = None  # plain tuples: this is the hot path
        rows = cursor.execute(
            "UPDATE tasks SET state = 'running', attempt = attempt + 1, fence = fence + 1, holder = ?, lease = ?, "
            f"started = ? WHERE seq IN ({oldest}) RETURNING due, seq, fence, holder, crashes, {TASK}",
            (self._holder, self._ticks() + self._lease, now, *values, limit),
        ).fetchall()
        if rows:
            rows.sort()  # by due and seq: an UPDATE returns in any order
            return [Delivery(stored(row[5:]), row[2], row[3], row[4], now) for row in rows], now
        next_due = min(first_due(connection, name) for name in names)
        return [], next_due

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        def work(connection: Connection) -> list[Delivery]:
            lost = lost_of(connection, deliveries)
            until = self._ticks() + self._lease
            held = [(until, self._holder, d.task.id) for d in deliveries if d not in lost]
            connection.executemany("UPDATE tasks SET lease = ?, holder = ? WHERE id = ?", held)
            return lost

        presence = await self._register(())
        presence.beat()
        return await self._db.run(work)

    async def settle(
        self,
        outcomes: Sequence[tuple[Delivery, Outcome]],
        counters: Mapping[str, float] | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> list[Delivery]:
        def work(connection: Connection) -> list[Delivery]:
            lost: list[Delivery] = []
            connection.execute("SAVEPOINT settle")
            if not self._settle(connection, outcomes, answers or {}):
                connection.execute("ROLLBACK TO settle")
                lost = lost_of(connection, [delivery for delivery, _ in outcomes])
                left = [(delivery, outcome) for delivery, outcome in outcomes if delivery not in lost]
                self._settle(connection, left, answers or {})
            connection.execute("RELEASE settle")
            _count(connection, counters or {})
            return lost

        return await self._db.run(work)

    def _settle(
        self, connection: Connection, outcomes: Sequence[tuple[Delivery, Outcome]], answers: Mapping[str, str]
    ) -> bool:
        """Store the outcomes; return False if some lease was lost, which is rare: then all is to be taken back."""
        now = self._clock()
        done, held = [], True
        for delivery, outcome in outcomes:
            if isinstance(outcome, Done):
                result = None if outcome.result is None else dump(outcome.result)
                done.append((now, result, delivery.task.id, delivery.fence))
            else:
                answered = delivery.task.id in answers
                held = self._set_back(connection, delivery, outcome, now, answered) and held
        settled = connection.executemany(
            f"UPDATE tasks SET state = 'done', finished = ?, result = ?, reason = '', holder = NULL WHERE {HELD}", done
        )
        held = held and (not done or settled.rowcount == len(done))
        if held and answers:
            deliveries = [delivery for delivery, _ in outcomes if delivery.task.id in answers]
            unsent.keep(connection, [Answer.to(each, answers[each.task.id]) for each in deliveries], now)
        return held

    def _set_back(
        self, connection: Connection, delivery: Delivery, outcome: Unfinished, now: float, answered: bool
    ) -> bool:
        """Store an attempt that did not end in done; return False if its lease was lost."""
        state: str = "failed"
        due: float | None = now
        finished: float | None = now
        holds = not answered or isinstance(outcome, BpmnError)  # its key, for the window after its end
        if answered and not isinstance(outcome, Fail):
            state = "done"
        elif not answered and isinstance(outcome, (Retry, Wait, Crash)):
            state, due, finished = "waiting", now + (getattr(outcome, "delay", None) or 0.0), None
            if isinstance(outcome, Crash):  # it keeps its place, so that it is soon known what it was
                due = None
            self._news = True
        reason = f"crash: {outcome.reason}" if isinstance(outcome, Crash) else outcome.reason
        if isinstance(outcome, BpmnError):
            reason = f"{outcome.code}: {reason}" if reason else outcome.code
        held = connection.execute(f"SELECT 1 FROM tasks WHERE {HELD}", (delivery.task.id, delivery.fence)).fetchone()
        if held is None:
            return False
        history = remember(connection, delivery.task.id, type(outcome).__name__, reason, now)
        free, crashed = (isinstance(outcome, kind) and not answered for kind in (Wait, Crash))
        settled = connection.execute(
            "UPDATE tasks SET state = ?, due = coalesce(?, due), finished = ?, reason = ?, history = ?, holder = NULL, "
            f"attempt = attempt - ?, crashes = crashes + ?, window = window * ? WHERE {HELD}",
            (state, due, finished, reason, history, free, crashed, holds, delivery.task.id, delivery.fence),
        )
        return bool(settled.rowcount == 1)

    async def answers(self, limit: int) -> list[Answer]:
        return await self._db.run(lambda connection: unsent.take(connection, limit, self._clock()))

    async def sent(self, ids: Sequence[str]) -> None:
        await self._db.run(lambda connection: unsent.forget(connection, ids))

    # ------------------------------------------------------------------ who lives, who is dead

    async def _register(self, types: Sequence[str]) -> Presence:
        if self._presence is None:
            try:
                presence = Presence(self._folder, types)
            except OSError as error:
                raise Unreachable(f"{self._folder}: {error.strerror}.") from None
            row = (presence.id, os.getpid(), self._clock())
            try:
                await self._db.run(lambda c: c.execute("INSERT INTO holders VALUES (?, ?, ?)", row) and None)
            except BaseException:
                presence.leave()
                raise
            self._holder, self._presence = presence.id, presence
        return self._presence

    def _recover(self, connection: Connection) -> None:
        """Tasks whose lease ran out, or whose holder is dead, wait again with one crash more."""
        ticks = self._ticks()
        if ticks - self._looked >= POLL:
            self._looked = ticks
            for (holder,) in connection.execute("SELECT id FROM holders WHERE id != ?", (self._holder,)).fetchall():
                if not is_alive(self._folder, holder) and not self._is_somebodys(holder):
                    self._release(connection, "state = 'running' AND holder = ?", (holder,), "the worker died")
                    connection.execute("DELETE FROM holders WHERE id = ?", (holder,))
        gone = "state = 'running' AND lease < ?"
        self._release(connection, gone, (ticks,), "the worker froze: its lease ran out")

    def _is_somebodys(self, holder: str) -> bool:
        """Whether a dead holder never claimed: then it had its tasks from another, who has until the next look."""
        if holder in self._handed or sign_of(self._folder, holder)[0] != [""]:
            self._handed.discard(holder)
            return False
        self._handed.add(holder)
        return True

    def _release(self, connection: Connection, condition: str, values: tuple[Any, ...], reason: str) -> None:
        rows = connection.execute(f"SELECT id, type FROM tasks WHERE {condition}", values).fetchall()
        now = self._clock()
        for row in rows:
            history = remember(connection, row["id"], "Crash", reason, now)
            connection.execute(
                "UPDATE tasks SET state = 'waiting', crashes = crashes + 1, holder = NULL, reason = ?, history = ? "
                "WHERE id = ?",
                (f"crash: {reason}", history, row["id"]),
            )
            _count(connection, {f"attempts:{row['type']}:crash": 1})
        self._news = self._news or bool(rows)

    def _ring(self) -> None:
        if self._news:
            self._news = False
            self._bell.ring()

    async def close(self) -> None:
        if self._presence is not None:

            def leave(connection: Connection) -> None:
                connection.execute(
                    "UPDATE tasks SET state = 'waiting', attempt = attempt - 1, holder = NULL "
                    "WHERE state = 'running' AND holder = ?",
                    (self._holder,),
                )
                connection.execute("DELETE FROM holders WHERE id = ?", (self._holder,))
                self._news = True

            with contextlib.suppress(Unreachable):  # then the next holder finds our lock free, and takes them
                await self._db.run(leave)
            self._presence.leave()
            self._presence = None
        await self._db.close()
        self._bell.close()

    # ------------------------------------------------------------------ for the operator

    async def tasks(self, where: Filter) -> list[Entry]:
        def work(connection: Connection) -> list[Entry]:
            condition, values = condition_of(connection, where)
            limit = where.limit if where.limit is not None else -1
            rows = connection.execute(
                f"SELECT * FROM tasks WHERE {condition} ORDER BY seq DESC LIMIT ?",
                (*values, limit),
            )
            return [entry_of(row) for row in rows]

        return await self._db.read(work)

    async def requeue(self, where: Filter) -> int:
        def work(connection: Connection) -> int:
            condition, values = condition_of(connection, where)
            self._news = True
            return int(
                connection.execute(
                    "UPDATE tasks SET state = 'waiting', due = ?, attempt = 0, crashes = 0, finished = NULL "
                    f"WHERE state = 'failed' AND {condition}",
                    (self._clock(), *values),
                ).rowcount
            )

        return await self._db.run(work)

    async def delete(self, where: Filter) -> int:
        def work(connection: Connection) -> int:
            condition, values = condition_of(connection, where)
            statement = f"DELETE FROM tasks WHERE state != 'running' AND {condition}"
            return int(connection.execute(statement, values).rowcount)

        return await self._db.run(work)

    async def counts(self) -> Counts:
        def work(connection: Connection) -> Counts:
            by_state = {
                (row["type"], row["state"]): row["n"]
                for state in ("waiting", "running", "failed")
                for row in connection.execute(
                    f"SELECT type, state, count(*) AS n FROM tasks WHERE state = '{state}' GROUP BY type"
                )
            }
            now = self._clock()
            oldest = min((first_due(connection, type) for type, state in by_state if state == "waiting"), default=now)
            counters = {row["name"]: row["value"] for row in connection.execute("SELECT * FROM counters")}
            holders = holders_of(connection, self._folder)
            return Counts(by_state, max(now - oldest, 0.0), counters, holders, unsent.count(connection))

        return await self._db.read(work)

    async def prune(self, older_than: float) -> int:
        def work(connection: Connection) -> int:
            now = self._clock()
            return int(
                connection.execute(
                    "DELETE FROM tasks WHERE seq IN (SELECT seq FROM tasks WHERE state = 'done' AND finished < ? "
                    "AND (key IS NULL OR finished + window < ?) LIMIT 1000)",
                    (now - older_than, now),
                ).rowcount
            )

        return await self._db.run(work)

    async def own(self, what: str, who: str, *, take: bool = False) -> str:
        def work(connection: Connection) -> str:
            verb = "REPLACE" if take else "IGNORE"
            connection.execute(f"INSERT OR {verb} INTO owners VALUES (?, ?)", (what, who))
            return str(connection.execute("SELECT who FROM owners WHERE what = ?", (what,)).fetchone()[0])

        return await self._db.run(work)


async def _to_its_end(running: asyncio.Future[T]) -> T:
    """A claim that is under way cannot be called off: too late for a cancellation, what was leased is returned."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        with contextlib.suppress(Unreachable):  # then nothing was leased
            if (await running)[0]:
                return running.result()
        raise


def _count(connection: Connection, counters: Mapping[str, float]) -> None:
    connection.executemany(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        counters.items(),
    )
