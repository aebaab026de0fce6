"""Requests that arrive together share one trip to the storage, and so one commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from carex.errors import Unreachable
from carex.queue import Placed, Queue
from carex.server.answers import Problem, within
from carex.task import Task

UNKNOWN = (
    "Whether the task is stored is unknown. Send the same request again: "
    "webhooks, and requests with an Idempotency-Key, are stored once."
)


@dataclass(frozen=True)
class Waiting:
    task: Task
    answer: asyncio.Future[Placed]
    since: float


class Gather:
    """Puts tasks, one trip at a time: whoever arrives during a trip shares the next."""

    def __init__(self, queue: Queue, timeout: float) -> None:
        self._queue = queue
        self._timeout = timeout
        self._waiting: list[Waiting] = []
        self._trips: asyncio.Task[None] | None = None

    async def put(self, task: Task) -> Placed:
        """The task is stored when this returns. Raises what a put raises, or Problem after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        mine = Waiting(task, loop.create_future(), loop.time())
        self._waiting.append(mine)
        if self._trips is None:
            self._trips = loop.create_task(self._travel())
        return await mine.answer

    async def _travel(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting, []
            await self._put(together)
        self._trips = None

    async def _put(self, together: list[Waiting]) -> None:
        waited = asyncio.get_running_loop().time() - together[0].since
        try:
            with within(max(self._timeout - waited, 0.0), UNKNOWN):
                found = await self._queue.put([each.task for each in together])
        except Exception as error:  # noqa: BLE001 - it is raised again where the task came from
            if len(together) > 1 and not isinstance(error, (Problem, Unreachable)):
                for each in together:  # one of them cannot be stored: the others do not suffer for it
                    await self._put([each])
                return
            for each in together:
                if not each.answer.done():  # done: the request was cancelled meanwhile
                    each.answer.set_exception(error)
        else:
            for each, placed in zip(together, found, strict=True):
                if not each.answer.done():
                    each.answer.set_result(placed)
