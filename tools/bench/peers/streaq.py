"""streaq with its defaults, 100 at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from streaq import Worker

from peers import record, script

streaq = Worker(redis_url=script.REDIS, concurrency=100)


@streaq.task
async def work(sent: float, nap: float) -> None:
    await record.work(sent, nap)


def worker(concurrency: int) -> None:
    script.become("streaq", "run", "peers.streaq:streaq")


async def one(sent: float, nap: float) -> None:
    await work.enqueue(sent, nap)


def many(items: Sequence[script.Item]) -> Awaitable[Any]:
    return streaq.enqueue_many([work.enqueue(*item) for item in items])


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    async with streaq:
        yield script.Producer(one, many)
