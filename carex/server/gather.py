"""Requests that arrive together share one trip to the storage, and so one commit."""

from __future__ import annotations

import asyncio

from carex.errors import Unreachable
from carex.queue import Placed, Queue
from carex.server.answers import Problem, within
from carex.task import Task

UNKNOWN = (
    "Whether the task is stored is unknown. Send the same request again: "
    "webhooks, and requests with an Idempotency-Key, are stored once."
)


class Gather:
    """Puts tasks: those of the same turn of the event loop as one."""

    def __init__(self, queue: Queue, timeout: float) -> None:
        self._queue = queue
        self._timeout = timeout
        self._waiting: list[tuple[Task, asyncio.Future[Placed]]] = []
        self._trips: set[asyncio.Task[None]] = set()

    async def put(self, task: Task) -> Placed:
        """The task is stored when this returns. Raises what a put raises, or Problem after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Placed] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._leave)
        self._waiting.append((task, answer))
        return await answer

    def _leave(self) -> None:
        together, self._waiting = self._waiting, []
        trip = asyncio.ensure_future(self._travel(together))
        self._trips.add(trip)  # the loop itself holds tasks weakly
        trip.add_done_callback(self._trips.discard)

    async def _travel(self, together: list[tuple[Task, asyncio.Future[Placed]]]) -> None:
        try:
            with within(self._timeout, UNKNOWN):
                found = await self._queue.put([task for task, _ in together])
        except Exception as error:  # noqa: BLE001 - it is raised again where the task came from
            if len(together) > 1 and not isinstance(error, (Problem, Unreachable)):
                for each in together:  # one of them cannot be stored: the others do not suffer for it
                    await self._travel([each])
                return
            for _, answer in together:
                if not answer.done():  # done: the request was cancelled meanwhile
                    answer.set_exception(error)
        else:
            for (_, answer), placed in zip(together, found, strict=True):
                if not answer.done():
                    answer.set_result(placed)
