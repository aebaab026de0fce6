"""dramatiq: one process, 8 threads; it has no way to put many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from peers import record, script

dramatiq.set_broker(RedisBroker(url=script.REDIS))


@dramatiq.actor
def work(sent: float, nap: float) -> None:
    record.work_in_thread(sent, nap)


def worker(concurrency: int) -> None:
    script.become("dramatiq", "-p", "1", "-t", str(concurrency), "peers.dramatiq")


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    yield script.Producer(one=work.send)
