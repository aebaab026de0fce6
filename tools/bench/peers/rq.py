"""rq with SimpleWorker, which runs in its own process: the Worker that forks is slower by far."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis import Redis
from rq import Queue, SimpleWorker

from peers import record, script

redis = Redis.from_url(script.REDIS)
queue = Queue(connection=redis)


def worker(concurrency: int) -> None:
    SimpleWorker([queue], connection=redis).work()


def one(sent: float, nap: float) -> None:
    queue.enqueue(record.work_in_thread, sent, nap)


def many(items: Sequence[script.Item]) -> None:
    queue.enqueue_many([Queue.prepare_data(record.work_in_thread, item) for item in items])


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    yield script.Producer(one, many)
