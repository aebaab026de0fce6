"""redis-py with pipelines of 100 and nothing around it. Prints {"what": per second}."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from redis.asyncio import Redis

PAYLOAD = json.dumps({"sent": 12345.678901, "nap": 0.0})
BATCH = 100


async def measure(count: int) -> dict[str, float]:
    redis = Redis.from_url(os.environ["BENCH_REDIS"])
    await redis.xgroup_create("stream", "group", mkstream=True)
    found = {"put_1": await put(redis, count // 10, 1), "put_100": await put(redis, count, BATCH)}
    found["read_ack_delete_100"] = await drain(redis, count // 10 + count)
    await redis.aclose()
    return found


async def put(redis: Redis, count: int, batch: int) -> float:
    started = time.perf_counter()
    for _ in range(count // batch):
        async with redis.pipeline(transaction=False) as pipeline:
            for _ in range(batch):
                pipeline.xadd("stream", {"payload": PAYLOAD})
            await pipeline.execute()
    return count / (time.perf_counter() - started)


async def drain(redis: Redis, count: int) -> float:
    """Read 100, acknowledge and delete them in one pipeline."""
    started = time.perf_counter()
    left = count
    while left > 0:
        found: Any = await redis.xreadgroup("group", "one", {"stream": ">"}, count=BATCH)
        ids = [id for id, _ in found[0][1]]
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.xack("stream", "group", *ids)
            pipeline.xdel("stream", *ids)
            await pipeline.execute()
        left -= len(ids)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1])))))
