"""The queue of many machines: one Redis server that all processes share. The verbs are functions of `redis.lua`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.resources import files
from typing import Any, TypeVar

from redis.exceptions import RedisError, ResponseError

from carex.errors import ConfigError, Unreachable
from carex.queue.protocol import STATES, Answer, Counts, Delivery, Entry, Filter, Holder, Placed, State
from carex.queue.redis_line import Bell, Line, Wire, ask, connect_later, place_of
from carex.queue.redis_server import durability_of, explain
from carex.task import BpmnError, Crash, Done, Outcome, Retry, Task, Wait, stored

T = TypeVar("T", bound=tuple[Any, ...])
PREFIX = "carex:{queue}:"
SCHEMA = 2
POLL = 1.0
"""Seconds between looks for leases that ran out, and for tasks of which no bell told."""
PAGE = 500
"""How many tasks an operator's command reads or changes in one step."""


class RedisQueue:
    """See `Queue` for the promises. `clock` gives Unix seconds; without one the server's own holds for all machines.

    A server that would lose tasks is refused with ConfigError at the first look, unless `allow_volatile` accepts it.
    """

    def __init__(
        self, url: str, *, lease: float = 30.0, allow_volatile: bool = False, clock: Callable[[], float] | None = None
    ) -> None:
        self._url = url
        self._lease = lease
        self._allow_volatile = allow_volatile
        self._clock = clock
        parts = ("redis_schema.lua", "redis.lua")
        self._script = "\n".join(files("carex.queue").joinpath(part).read_text() for part in parts)
        host = "".join(c for c in socket.gethostname() if c.isalnum() or c in "-.")
        self._holder = f"{host}:{os.getpid()}:{os.urandom(4).hex()}"
        self._row = ""  # what Redis knows about this holder, once it claims
        self._claims = 0
        self._unanswered: set[int] = set()
        self._greeted = False
        self._line = Line(url, hashlib.sha1(self._script.encode()).hexdigest(), self._greet)  # noqa: S324 - Redis's name for it
        self._bell = Bell(url, f"{PREFIX}wake:{self._holder}", POLL)

    async def _call(self, verb: str, *arguments: Any) -> Any:
        return await self._line.call(PREFIX, verb, self._clock() if self._clock else "", *arguments)

    # ------------------------------------------------------------------ the way of a task

    async def put(self, tasks: Sequence[Task], *, failed: str | None = None) -> list[Placed]:
        values: list[Any] = [b"" if failed is None else _encode(failed)]
        for t in tasks:
            values += (t.id, t.type, dump(t.payload), t.key or "", t.window, t.source, t.created)
            values += ("" if t.reply is None else dump(t.reply), t.due or "0")
        holders = await self._call("put", *values)
        return [Placed(holder or task.id, new=not holder) for task, holder in zip(tasks, holders, strict=True)]

    async def claim(self, types: Sequence[str], limit: int, wait: float = 0.0) -> list[Delivery]:
        end = time.monotonic() + wait
        while True:
            patience = min(max(end - time.monotonic(), 0.0), POLL)
            claimed, next_due = await _to_its_end(self._claim(types, max(limit, 0), patience))
            left = end - time.monotonic()
            if claimed or left <= 0:
                return claimed
            await self._bell.woken(min(left, POLL, max(next_due, 0.0)))

    async def _claim(self, types: Sequence[str], limit: int, patience: float) -> tuple[list[Delivery], float]:
        """Claim now; if there is nothing, be rung for `patience` seconds."""
        self._claims += 1
        number, unanswered = self._claims, self._unanswered
        missing = f" {' '.join(map(str, unanswered))} " if unanswered else ""
        try:
            now, next_due, rows = await self._call(
                "claim",
                self._holder,
                self._registered(types),
                number,
                missing,
                self._lease,
                limit,
                patience,
                *map(_glob, types),
            )
        except Unreachable:  # it may have leased tasks; the next claim that is answered gives them back
            self._unanswered = self._unanswered | {number}
            raise
        self._unanswered = self._unanswered - unanswered
        deliveries = [_delivery_of(rows[i : i + 12], self._holder, float(now)) for i in range(0, len(rows), 12)]
        return deliveries, float(next_due)

    def _registered(self, types: Sequence[str]) -> str:
        now = self._clock() if self._clock else time.time()
        self._row = self._row or " ".join([self._holder, str(os.getpid()), str(now), *types])
        return self._row

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        held = [value for d in deliveries for value in (d.task.id, d.fence)]
        lost = await self._call("extend", self._registered(()), self._lease, self._holder, *held)
        return [deliveries[position] for position in lost]

    async def settle(
        self,
        outcomes: Sequence[tuple[Delivery, Outcome]],
        counters: Mapping[str, float] | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> list[Delivery]:
        bodies = answers or {}
        values: list[Any] = [value for counter in (counters or {}).items() for value in counter]
        for delivery, outcome in outcomes:
            answer = bodies.get(delivery.task.id, "").encode(errors="backslashreplace")
            values += (delivery.task.id, delivery.fence, *_ending_of(outcome), answer)
        lost = await self._call("settle", len(counters or {}), *values)
        return [outcomes[position][0] for position in lost]

    async def answers(self, limit: int) -> list[Answer]:
        found = _pairs(await self._call("answers", limit))
        return [Answer(id, json.loads(reply), body) for id, text in found for reply, _, body in [text.partition("\n")]]

    async def sent(self, ids: Sequence[str]) -> None:
        if ids:
            await self._call("sent", *ids)

    # ------------------------------------------------------------------ the server

    @cached_property
    def durability(self) -> str:
        """What a power failure would cost; asks the server. Raises ConfigError if it may not be trusted with tasks."""
        connection = connect_later(self._url)
        try:
            return self._durability_of(connection)
        except (RedisError, OSError) as error:
            reason = explain(error, place_of(connection))
            if isinstance(reason, ConfigError):
                raise reason from None
            return f"{reason.message} What a power failure now would cost is not known yet."
        finally:
            connection.disconnect()

    def _durability_of(self, connection: Wire) -> str:
        info = dict(line.split(":", 1) for line in ask(connection, "INFO").splitlines() if ":" in line)
        try:
            (*_, appendfsync) = ask(connection, "CONFIG", "GET", "appendfsync") or (None,)
        except ResponseError:  # not everybody may ask
            appendfsync = None
        return durability_of(info, appendfsync, allow_volatile=self._allow_volatile)

    def _greet(self, connection: Wire) -> None:
        """Check a server before it gets tasks: what it keeps, whose schema it has; bring the script."""
        self._durability_of(connection)
        schema = ask(connection, "GET", f"{PREFIX}schema")
        if schema is None:
            if self._greeted:
                from loguru import logger

                logger.error("{} was emptied: its tasks are gone. Going on with an empty queue.", place_of(connection))
            ask(connection, "SET", f"{PREFIX}schema", str(SCHEMA))
        elif int(schema) < SCHEMA:  # version 2 only added: what is there fits
            ask(connection, "SET", f"{PREFIX}schema", str(SCHEMA))
        elif int(schema) > SCHEMA:
            raise ConfigError(
                f"{place_of(connection)} was written by a newer Carex (schema {schema}, this one knows {SCHEMA}).",
                "Upgrade Carex, or use another database: the number at the end of the URL.",
            )
        ask(connection, "SCRIPT", "LOAD", self._script)
        self._greeted = True

    async def close(self) -> None:
        self._bell.close()
        try:
            if self._row:
                await self._call("leave", self._holder, self._row)
        except Unreachable:
            pass  # then the leases run out by themselves
        finally:
            await self._line.close()

    # ------------------------------------------------------------------ for the operator

    async def tasks(self, where: Filter) -> list[Entry]:
        found: list[Entry] = []
        ids = await self._ids(where)
        for start in range(0, len(ids), PAGE):
            entries = [_entry_of(id, row) for id, row in await self._read(ids[start : start + PAGE])]
            found += [entry for entry in entries if _means(where, entry)]
            if where.limit is not None and len(found) >= where.limit:
                return found[: where.limit]
        return found

    async def _read(self, ids: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
        """Those of the tasks that are still there, newest first."""
        found = zip(ids, await self._call("read", *ids), strict=True)
        rows = [(id, dict(zip(row[::2], row[1::2], strict=True))) for id, row in found if row]
        return sorted(rows, key=lambda each: each[1]["seq"], reverse=True)

    async def _ids(self, where: Filter) -> list[str]:
        """The ids of all that the filter could mean, newest first."""
        if where.ids:
            return list(dict.fromkeys(where.ids))
        states: Sequence[State] = where.states or STATES
        places = await self._call("find", len(states), *states, *map(_glob, where.types or ["*"]))
        return [place[12:] for place in sorted(set(places), reverse=True)]

    async def requeue(self, where: Filter) -> int:
        return await self._change("requeue", where, ["failed"])

    async def delete(self, where: Filter) -> int:
        return await self._change("delete", where, ["waiting", "done", "failed"])

    async def _change(self, verb: str, where: Filter, states: Sequence[State]) -> int:
        """Apply a verb to the tasks that are meant and are in one of the states; the verb looks at the state again."""
        within = [state for state in where.states or states if state in states]
        if not within:
            return 0
        ids = [
            entry.task.id
            for entry in await self.tasks(Filter(where.ids, where.types, within, where.since, where.match))
        ]
        return sum([await self._call(verb, *ids[start : start + PAGE]) for start in range(0, len(ids), PAGE)])

    async def counts(self) -> Counts:
        types, running, oldest, counters, holders, now, unsent = await self._call("counts")
        by_state: dict[tuple[str, State], int] = dict(Counter((type, "running") for type, *_ in running))
        by_state |= {(type, "waiting"): waiting for type, waiting, _ in types if waiting}
        by_state |= {(type, "failed"): failed for type, _, failed in types if failed}
        sums = {name: float(value) for name, value in _pairs(counters)}
        known = []
        for row, beat in _pairs(holders):
            id, pid, began, *wanted = row.split(" ")
            held = sorted((float(started), type) for type, holder, started in running if holder == id)
            since, doing = held[0] if held else (None, "")
            silent = float(now) - float(beat)
            known.append(
                Holder(id, int(pid), float(began), silent < self._lease, len(held), silent, wanted, doing, since)
            )
        return Counts(by_state, float(oldest), sums, known, int(unsent))

    async def prune(self, older_than: float) -> int:
        return int(await self._call("prune", older_than))

    async def own(self, what: str, who: str, *, take: bool = False) -> str:
        return str(await self._call("own", what, who, int(take)))


async def _to_its_end(claim: Coroutine[Any, Any, T]) -> T:
    """A claim that is under way cannot be called off: when cancelled too late, the caller gets what was leased."""
    running = asyncio.ensure_future(claim)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if not (await running)[0]:
            raise
        return running.result()


def _glob(pattern: str) -> str:
    """A glob of Python's as one of Redis's: they negate a set differently, and Redis knows an escape."""
    return pattern.replace("\\", "\\\\").replace("[!", "[^")


dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Compact JSON; raises TypeError or ValueError for what JSON cannot hold."""


def _ending_of(outcome: Outcome) -> tuple[str, float, bytes, bytes]:
    """How an attempt ended, as the script wants it: outcome, delay, reason, result."""
    if isinstance(outcome, Done):
        return "Done", 0, b"", b"" if outcome.result is None else _encode(outcome.result)
    reason = outcome.reason
    if isinstance(outcome, BpmnError):
        reason = f"{outcome.code}: {reason}" if reason else outcome.code
    if isinstance(outcome, Crash):
        reason = f"crash: {reason}"
    delay = outcome.delay or 0.0 if isinstance(outcome, (Retry, Wait)) else 0.0
    return type(outcome).__name__, delay, _encode(reason), b""


def _encode(value: Any) -> bytes:
    """JSON in UTF-8; half a character, as file names may have, stays what it is and harms nobody."""
    return dump(value).encode(errors="backslashreplace")


def _delivery_of(row: Sequence[Any], holder: str, now: float) -> Delivery:
    id, type, payload, key, window, source, created, reply, due, attempt, fence, crashes = row
    columns = (type, payload, key or None, float(window), float(due), source, id, attempt, float(created), reply)
    return Delivery(stored(columns), fence, holder, crashes, now)


def _entry_of(id: str, row: Mapping[str, str]) -> Entry:
    task = Task(
        row["type"],
        json.loads(row["payload"]),
        row["key"] or None,
        float(row["window"]),
        float(row["due"]),
        row["source"],
        id,
        int(row.get("attempt", 0)),
        float(row["created"]),
        json.loads(row.get("reply") or "null"),
    )
    history = [json.loads(line) for line in row.get("history", "").split("\n") if line]
    for line in history:
        if line["times"] == 1:
            del line["times"]
    started, finished = row.get("started"), row.get("finished")
    return Entry(
        task,
        row["state"],  # type: ignore[arg-type]
        json.loads(row.get("reason", '""')),
        int(row.get("crashes", 0)),
        row.get("holder") or None,
        float(started) if started else None,
        float(finished) if finished else None,
        json.loads(row.get("result") or "null"),
        history,
    )


def _means(where: Filter, entry: Entry) -> bool:
    """Whether a filter means this task."""
    task = entry.task
    since = entry.finished if entry.state == "failed" and entry.finished is not None else task.created
    text = "\n".join([entry.reason, task.key or "", dump(task.payload)]).casefold()
    return (
        (not where.types or any(fnmatchcase(task.type, glob) for glob in where.types))
        and (not where.states or entry.state in where.states)
        and (where.since is None or since >= where.since)
        and (not where.match or where.match.casefold() in text)
    )


def _pairs(values: Sequence[str]) -> Iterable[tuple[str, str]]:
    return zip(values[::2], values[1::2], strict=True)
