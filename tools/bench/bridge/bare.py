"""What the engine gives a bare asynchronous client that fetches and completes, with no broker: URL TOPIC MAX_TASKS."""

from __future__ import annotations

import asyncio
import sys

import aiohttp

AT_A_TIME = 8
WORKER = "bare"


async def main(url: str, topic: str, most: str) -> None:
    waiting: asyncio.Queue[str] = asyncio.Queue(maxsize=2 * int(most))
    async with aiohttp.ClientSession() as session:

        async def complete() -> None:
            body = {"workerId": WORKER, "variables": {"result": {"value": "success", "type": "String"}}}
            while True:
                task_id = await waiting.get()
                async with session.post(f"{url}/external-task/{task_id}/complete", json=body) as reply:
                    await reply.read()

        completing = [asyncio.create_task(complete()) for _ in range(AT_A_TIME)]
        print("ready", flush=True)
        fetch = {
            "workerId": WORKER,
            "maxTasks": int(most),
            "asyncResponseTimeout": 5000,
            "topics": [{"topicName": topic, "lockDuration": 600_000}],
        }
        while not any(each.done() for each in completing):
            async with session.post(f"{url}/external-task/fetchAndLock", json=fetch) as reply:
                for task in await reply.json():
                    await waiting.put(task["id"])


asyncio.run(main(*sys.argv[1:]))
