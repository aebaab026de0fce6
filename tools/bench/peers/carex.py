"""Carex as it is installed: its own worker command, logs and metrics on. $BENCH_QUEUE and $BENCH_HOME say where."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from carex.queue import open_queue
from carex.task import Task

from peers import script


def worker(concurrency: int) -> None:
    os.environ["CAREX_QUEUE__URL"] = os.environ["BENCH_QUEUE"]
    script.become("carex", "--home", os.environ["BENCH_HOME"], "worker", "--concurrency", str(concurrency))


@asynccontextmanager
async def producer() -> AsyncIterator[script.Producer]:
    queue = open_queue(os.environ["BENCH_QUEUE"])

    def many(items: Sequence[script.Item]) -> Awaitable[Any]:
        return queue.put([Task("bench_work", {"sent": sent, "nap": nap}) for sent, nap in items])

    yield script.Producer(one=lambda sent, nap: many([(sent, nap)]), many=many)
    await queue.close()
