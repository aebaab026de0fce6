"""A server as anybody would write it: each call is one LPUSH."""

from __future__ import annotations

import json
import os

from fastapi import FastAPI
from redis.asyncio import Redis

app = FastAPI()
redis = Redis.from_url(os.environ["BENCH_REDIS"])


@app.post("/CarexRandom")
async def carex_random(deal_id: int, cont_id: int | None = None) -> dict[str, str]:
    await redis.lpush("tasks", json.dumps({"deal_id": deal_id, "cont_id": cont_id}))
    return {"status": "queued"}
