"""arq, 100 at a time, polling 50 times a second (by default it does so twice)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from peers import record, script


async def work(ctx: Any, sent: float, nap: float) -> None:
    await record.work(sent, nap)


class WorkerSettings:
    functions = (work,)
    redis_settings = RedisSettings.from_dsn(script.REDIS)
    max_jobs = 100
    poll_delay = 0.02
    queue_read_limit = 1000


def worker(concurrency: int) -> None:
    script.become("arq", "peers.arq.WorkerSettings")


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    redis = await create_pool(WorkerSettings.redis_settings)

    async def one(sent: float, nap: float) -> None:
        await redis.enqueue_job("work", sent, nap)

    yield script.Producer(one, script.together(one))
    await redis.aclose()
