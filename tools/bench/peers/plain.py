"""What anybody would write: LPUSH, and a loop of BRPOP, JSON, one log line and one metric."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger
from prometheus_client import Counter
from redis import Redis

from peers import record, script

QUEUE = "tasks"


def worker(concurrency: int) -> None:
    logger.remove()
    logger.add(f"{os.environ['BENCH_HOME']}/plain.log")
    processed = Counter("tasks_processed", "Tasks that were processed.")
    redis = Redis.from_url(script.REDIS)
    while True:
        found = redis.brpop([QUEUE], timeout=1)
        if found:
            task = json.loads(found[1])
            record.work_in_thread(task["sent"], task["nap"])
            logger.info("Task {} done", task["sent"])
            processed.inc()


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    redis = Redis.from_url(script.REDIS)

    def one(sent: float, nap: float) -> None:
        redis.lpush(QUEUE, json.dumps({"sent": sent, "nap": nap}))

    def many(items: list[script.Item]) -> None:
        redis.lpush(QUEUE, *[json.dumps({"sent": sent, "nap": nap}) for sent, nap in items])

    yield script.Producer(one, many)
