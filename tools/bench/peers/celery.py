"""celery on Redis, in threads; it has no way to put many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from celery import Celery

from peers import record, script

app = Celery("bench", broker=script.REDIS)


@app.task(name="work", ignore_result=True)
def work(sent: float, nap: float) -> None:
    record.work_in_thread(sent, nap)


def worker(concurrency: int) -> None:
    pool = ("-P", "threads", "-c", str(concurrency))
    script.become("celery", "-A", "peers.celery", "worker", *pool, "--without-gossip", "--without-mingle")


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    yield script.Producer(one=work.delay)
