"""The queue: whether it can be reached and trusted, and whether somebody works on what is in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from carex.cli import Root
from carex.cli.doctor.line import Line, note, ok, warning, wrong

if TYPE_CHECKING:
    from carex.queue import Counts
    from carex.settings import QueueSettings

LATE = 300.0
"""Seconds after which a task that could run is said to wait too long."""
SLOW = 0.05
"""Seconds for an answer of Redis above which every task feels it."""
CROWDED = 0.8
"""The part of its memory above which a Redis server may soon refuse tasks."""


def look(root: Root) -> Iterator[Line]:
    settings = root.settings.queue
    if settings.url.startswith("sqlite://"):
        if not Path(settings.url.removeprefix("sqlite://")).is_file():
            yield note("there is no queue yet; `carex init`, or the first start, makes it")
            return
        from carex.queue.sqlite import SqliteQueue

        yield ok(SqliteQueue.durability)
    else:
        used = yield from _redis(settings)
        if not used:
            yield note("nothing is in this Redis yet; the first start prepares it")
            return
    yield from _closures(root)
    yield from _work(root, asyncio.run(_counts(root)))


async def _counts(root: Root) -> Counts:
    from carex.cli.process import queue_of

    queue = queue_of(root.settings)
    try:
        return await queue.counts()
    finally:
        await queue.close()


def _redis(settings: QueueSettings) -> Generator[Line, None, bool]:
    """Return whether there is a queue in it."""
    from redis.exceptions import RedisError, ResponseError

    from carex.queue.redis import PREFIX
    from carex.queue.redis_line import ask, connect_later, place_of
    from carex.queue.redis_server import durability_of, explain

    connection = connect_later(settings.url)
    try:
        info = dict(line.split(":", 1) for line in ask(connection, "INFO").splitlines() if ":" in line)
        try:
            (*_, sync) = ask(connection, "CONFIG", "GET", "appendfsync") or (None,)
        except ResponseError:  # not everybody may ask
            sync = None
        started = time.perf_counter()
        used = ask(connection, "GET", f"{PREFIX}schema")
        took = time.perf_counter() - started
        durability = durability_of(info, sync, allow_volatile=settings.allow_volatile)
    except (RedisError, OSError) as error:
        raise explain(error, place_of(connection)) from None
    finally:
        connection.disconnect()
    yield ok(f"{place_of(connection)} answers in {took * 1000:.2g} ms: version {info.get('redis_version')}")
    if took > SLOW:
        yield warning("Redis is slow to answer", "See what holds it up: redis-cli --latency, redis-cli SLOWLOG GET.")
    yield from _durability(durability, volatile=info.get("aof_enabled") == "0")
    for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"):
        if info.get(name, "ok") != "ok":
            yield wrong(
                f"Redis: {name} is {info[name]}", "See its log: as a rule its disk is full or its rights wrong."
            )
    if info.get("role") == "slave":
        yield wrong(
            "this Redis is a read-only replica: it takes no tasks",
            "Let queue.url lead to the master, or make this the master: redis-cli REPLICAOF NO ONE.",
        )
    memory, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    raise_it = "Raise it: redis-cli CONFIG SET maxmemory SIZE, then CONFIG REWRITE."
    if most and memory > most:
        yield wrong(f"Redis is out of memory ({memory / most:.0%} of its maxmemory): it refuses tasks", raise_it)
    elif most and memory > CROWDED * most:
        yield warning(f"Redis uses {memory / most:.0%} of its maxmemory; when it is full it refuses tasks", raise_it)
    return used is not None


def _durability(sentence: str, *, volatile: bool) -> Iterator[Line]:
    if volatile or "deletes tasks" in sentence:
        yield warning(
            f"{sentence} queue.allow_volatile accepts that.",
            "redis-cli CONFIG SET appendonly yes; redis-cli CONFIG SET maxmemory-policy noeviction; "
            "redis-cli CONFIG REWRITE",
        )
    else:
        yield ok(sentence)


def _closures(root: Root) -> Iterator[Line]:
    """What the workers have found out about other systems, and told each other."""
    from carex.limiter import ALL
    from carex.limiter_stores import look as look_at_limits

    now = time.time()
    for name, bucket in look_at_limits(root.settings.queue.url, root.home / "data").items():
        for key, (until, reason) in bucket.closed.items():
            if until > now:
                what = name if key == ALL else f"{key} of {name}"
                yield warning(
                    f"{what} is not called for another {until - now:.0f} s, its tasks wait: {reason}",
                    f"See what the plugin finds: carex doctor --only {name.partition(':')[0]}",
                )


def _work(root: Root, counts: Counts) -> Iterator[Line]:
    numbers = {state: counts.of(state) for state in ("waiting", "running", "failed")}
    alive = [each for each in counts.holders if each.alive]
    workers = f"{len(alive)} worker{'' if len(alive) == 1 else 's'}"
    yield ok(f"{numbers['waiting']} waiting, {numbers['running']} running, {numbers['failed']} failed, {workers}")
    yield from _nobody(root, {type for type, state in counts.by_state if state == "waiting"}, alive=len(alive))
    if alive and (idle := [type for type in _unasked(counts) if type in root.registry.handlers]):
        yield wrong(
            f"no worker that runs takes {', '.join(idle)}",
            "Start one that does: carex worker --types '*' (see worker.types).",
        )
    if alive and counts.oldest_due > LATE:
        yield warning(
            f"a task that could run has waited for {counts.oldest_due / 60:.0f} minutes",
            "See why: carex status. More hands: carex worker --processes N.",
        )
    for each in counts.holders:
        if each.alive and each.silent > 2 * root.settings.queue.lease:
            yield wrong(
                f"worker {each.id} gave no sign of life for {each.silent:.0f} s, running {each.doing or 'nothing'}",
                f"If it hangs, end it, its tasks are given to others: kill -9 {each.pid}",
            )
    if numbers["failed"]:
        yield warning(
            f"failed tasks that wait for a person: {numbers['failed']}",
            "carex errors list --group, then carex errors retry --all or carex errors delete.",
        )


def _nobody(root: Root, waiting: Iterable[str], *, alive: int) -> Iterator[Line]:
    """What waits with nobody to do it."""
    types = sorted(waiting)
    if types and not alive:
        yield wrong(
            f"tasks wait ({', '.join(types)}), and no worker runs", "carex worker, or for good: carex service install"
        )
    unknown = [type for type in types if type not in root.registry.handlers]
    if unknown:
        yield wrong(
            f"tasks wait for which no plugin here has a handler: {', '.join(unknown)}",
            "Install the plugin that has it; `carex handlers list` shows what there is.",
        )


def _unasked(counts: Counts) -> list[str]:
    """Types that wait and that no live worker asks for."""
    globs = [glob for each in counts.holders if each.alive for glob in each.types]
    types = {type for type, state in counts.by_state if state == "waiting"}
    return sorted(type for type in types if globs and not any(fnmatchcase(type, glob) for glob in globs))
