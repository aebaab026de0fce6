"""taskiq on its RedisStreamBroker: one process, batches of 100."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskiq_redis import RedisStreamBroker

from peers import record, script

broker = RedisStreamBroker(script.REDIS, xread_count=100)


@broker.task(task_name="work")
async def work(sent: float, nap: float) -> None:
    await record.work(sent, nap)


def worker(concurrency: int) -> None:
    script.become("taskiq", "worker", "-w", "1", "--max-async-tasks", str(concurrency), "peers.taskiq:broker")


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    await broker.startup()
    yield script.Producer(one=work.kiq, many=script.together(work.kiq))
    await broker.shutdown()
