"""Requests that arrive together share one trip to the storage, and so one commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from carex.errors import Unreachable
from carex.queue import Placed, Queue
from carex.server.answers import too_late
from carex.task import Task

UNKNOWN = (
    "Whether the task is stored is unknown. Send the same request again: "
    "webhooks, and requests with an Idempotency-Key, are stored once."
)


@dataclass
class Waiting:
    task: Task
    answer: asyncio.Future[Placed]


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
        mine = Waiting(task, loop.create_future())
        self._waiting.append(mine)
        if self._trips is None:
            self._trips = loop.create_task(self._travel())
        timer = loop.call_later(self._timeout, _late, mine.answer)
        try:
            return await mine.answer
        finally:
            timer.cancel()

    async def _travel(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting, []
            await self._put(together)
        self._trips = None

    async def _put(self, together: list[Waiting]) -> None:
        try:
            found = await self._queue.put([each.task for each in together])
        except Exception as error:  # noqa: BLE001 - it is raised again where the task came from
            if len(together) > 1 and not isinstance(error, Unreachable):
                for each in together:  # one of them cannot be stored: the others do not suffer for it
                    await self._put([each])
                return
            for each in together:
                if not each.answer.done():  # done: its request has ended meanwhile
                    each.answer.set_exception(error)
        else:
            for each, placed in zip(together, found, strict=True):
                if not each.answer.done():
                    each.answer.set_result(placed)


def _late(answer: asyncio.Future[Placed]) -> None:
    if not answer.done():
        answer.set_exception(too_late(UNKNOWN))
