"""huey on Redis, in threads; it has no way to put many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from huey import RedisHuey
from redis import ConnectionPool

from peers import record, script

huey = RedisHuey(connection_pool=ConnectionPool.from_url(script.REDIS, max_connections=200))


@huey.task()
def work(sent: float, nap: float) -> None:
    record.work_in_thread(sent, nap)


def worker(concurrency: int) -> None:
    script.become("huey.bin.huey_consumer", "-k", "thread", "-w", str(concurrency), "peers.huey.huey")


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    yield script.Producer(one=work)
