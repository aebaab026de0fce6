"""How the installation is at one moment, gathered from its queue, its limits, the engine and RabbitMQ."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from carex.cli.errors import causes_of
from carex.cli.process import queue_of
from carex.errors import CarexError
from carex.masking import mask
from carex.queue import Filter

if TYPE_CHECKING:
    from carex.cli import Root
    from carex.queue import Counts, Entry, Holder, Queue
    from carex.settings import Settings

MOST = 2000
"""So many waiting, and failed, tasks are looked at one by one for their reasons: the newest."""
PATIENCE = 5.0
"""Seconds for the engine and RabbitMQ to answer."""
Plain = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """The queue's counts, and when."""

    at: float
    counts: Counts


@dataclass(frozen=True)
class Snapshot:
    """`types` have tasks by state and attempts that ended per second; `waits` and `errors` are causes, as `carex
    errors list --group` shows them; `bridge` is None where no engine is set up. What could not be asked is in
    `troubles`."""

    at: float
    queue: str
    types: Sequence[Plain]
    oldest_due: float
    why: str
    """Why the oldest task that could run does not; empty if there is none."""
    waits: Sequence[Plain]
    errors: Sequence[Plain]
    workers: Sequence[Holder]
    limits: Sequence[Plain]
    bridge: Plain | None = None
    troubles: Sequence[str] = field(default=())


async def sample(root: Root) -> Sample:
    queue = queue_of(root.settings)
    try:
        return Sample(time.time(), await queue.counts())
    finally:
        await queue.close()


async def look(root: Root, before: Sample) -> tuple[Snapshot, Sample]:
    """The present state, with the rates since `before`; and what the next look needs. Raises Unreachable."""
    from carex.limiter_stores import look as look_at_limits

    settings, troubles = root.settings, list[str]()
    asked = asyncio.create_task(_bridge(settings, troubles))
    queue = queue_of(settings)
    try:
        counts, now = await queue.counts(), time.time()
        waiting = await _some(queue, counts, "waiting")
        failed = await _some(queue, counts, "failed")
    finally:
        await queue.close()
    limits = await asyncio.to_thread(look_at_limits, settings.queue.url, settings.home / "data")
    after = Sample(now, counts)
    snapshot = Snapshot(
        at=now,
        queue=mask(settings.queue.url),
        types=list(_types(before, after)),
        oldest_due=counts.oldest_due,
        why=_why(counts, waiting, now),
        waits=causes_of([each for each in waiting if each.reason]),
        errors=causes_of(failed),
        workers=sorted(counts.holders, key=lambda each: each.started),
        limits=[
            {
                "name": name,
                "room": round(bucket.room(now), 1),
                "burst": bucket.burst,
                "per_second": bucket.rate,
                "closed": [
                    {"what": key, "reason": reason, "seconds": round(until - now, 1)}
                    for key, (until, reason) in bucket.closed.items()
                    if until > now
                ],
            }
            for name, bucket in sorted(limits.items())
        ],
        bridge=await asked,
        troubles=troubles,
    )
    return snapshot, after


async def _some(queue: Queue, counts: Counts, state: Any) -> list[Entry]:
    return await queue.tasks(Filter(states=[state], limit=MOST)) if counts.of(state) else []


def _types(before: Sample, after: Sample) -> Iterator[Plain]:
    """Every type that has tasks, or had attempts in between."""
    seconds = max(after.at - before.at, 0.001)
    rates: dict[str, dict[str, float]] = {}
    for key, value in after.counts.counters.items():
        kind, _, rest = key.partition(":")
        done = value - before.counts.counters.get(key, 0.0)
        if kind == "attempts" and done > 0:
            type, _, outcome = rest.rpartition(":")
            rates.setdefault(type, {})[outcome] = round(done / seconds, 2)
    states = after.counts.by_state
    for type in sorted({*rates, *(type for type, _ in states)}):
        numbers = {state: states.get((type, state), 0) for state in ("waiting", "running", "failed")}
        yield {"type": type, **numbers, "per_second": rates.get(type, {})}


def _why(counts: Counts, waiting: Sequence[Entry], now: float) -> str:
    """What the oldest due task waits for, as far as can be known from outside."""
    due = [each for each in waiting if each.task.due <= now]
    if not due:
        return ""
    oldest = min(due, key=lambda each: each.task.due).task
    alive = [each for each in counts.holders if each.alive]
    if not alive:
        return "no worker runs"
    if not any(fnmatchcase(oldest.type, glob) for each in alive for glob in each.types):
        return f"no worker that runs takes {oldest.type}"
    return "its turn has not come: the workers are busy" if counts.of("running") else "it is about to be taken"


async def _bridge(settings: Settings, troubles: list[str]) -> Plain | None:
    """The engine's and RabbitMQ's side, each as far as it answers."""
    if not settings.camunda.base_url:
        return None

    async def part(ask: Any) -> Mapping[str, Any]:
        try:
            return dict(await asyncio.wait_for(ask(settings), PATIENCE))
        except CarexError as error:
            troubles.append(error.message)
        except (asyncio.TimeoutError, TimeoutError):
            troubles.append(f"no answer within {PATIENCE:g} s: {'the engine' if ask is _engine else 'RabbitMQ'}")
        return {}

    engine, broker = await asyncio.gather(part(_engine), part(_broker))
    return {**engine, **broker}


async def _engine(settings: Settings) -> Plain:
    from carex.camunda.engine import Engine

    async with Engine(settings.camunda) as engine:
        version = await engine.version()
        free, held, incidents = await asyncio.gather(
            engine.count_external_tasks(notLocked=True, withRetriesLeft=True, active=True),
            engine.count_external_tasks(locked=True, workerId=settings.camunda.worker_id),
            engine.count_external_tasks(noRetriesLeft=True),
        )
        return {"engine": f"{version} at {engine.address}", "to_fetch": free, "locked": held, "incidents": incidents}


async def _broker(settings: Settings) -> Plain:
    from carex.camunda.routes import systems
    from carex.rabbitmq.connection import Broker
    from carex.rabbitmq.topology import look, queue_of

    rabbitmq = settings.rabbitmq
    broker = Broker(rabbitmq, name="carex status")
    await broker.start(patient=False)
    try:
        names = [*map(queue_of, systems(rabbitmq)), *rabbitmq.consume, rabbitmq.responses_queue, rabbitmq.dead_queue]
        found = await look(broker, dict.fromkeys(names))
    finally:
        await broker.close()
    answers = next(each for each in found if each.name == rabbitmq.responses_queue)
    queues = [{"name": each.name, "messages": each.messages, "consumers": each.consumers} for each in found]
    return {"running": bool(answers.consumers), "queues": queues}
