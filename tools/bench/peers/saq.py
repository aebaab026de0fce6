"""saq with its defaults, 100 at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue

from peers import record, script

queue = Queue.from_url(script.REDIS)


async def work(ctx: Any, *, sent: float, nap: float) -> None:
    await record.work(sent, nap)


settings = {"queue": queue, "functions": [work], "concurrency": 100}


def worker(concurrency: int) -> None:
    script.become("saq", "peers.saq.settings")


def one(sent: float, nap: float) -> Awaitable[Any]:
    return queue.enqueue("work", sent=sent, nap=nap)


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    await queue.connect()
    yield script.Producer(one, script.together(one))
    await queue.disconnect()
