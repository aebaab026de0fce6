"""The other side of a cell: a queue whose tasks come from the worker that started this process (see `isolation`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from carex import last_words
from carex.account import KINDS
from carex.errors import Unreachable
from carex.isolation import READY, name_of
from carex.queue import Delivery, Queue
from carex.talk import LONGEST_LINE
from carex.task import Outcome, Task, Wait

STEP = 0.1
"""Seconds between starts of some more, unless all before them have ended: what ends a process at once takes only those
along that started with it."""
REFUSED = 30.0
"""Seconds until a task is tried again whose plugin could not be set up here."""


class Suspects:
    """What a worker needs of a queue. Claims come from `stdin`, a line of JSON for each delivery; `answers` hears of
    each one's start and end. They are held by this process as soon as it has read of them."""

    def __init__(self, queue: Queue, width: int, answers: IO[bytes]) -> None:
        self._queue = queue
        self._width = width
        self._answers = answers
        self._waiting: list[Delivery] = []
        self._running: set[str] = set()
        self._news = asyncio.Event()
        self._next = 0.0
        self._ready = False

    async def listen(self, stdin: Any, stop: Callable[[], None]) -> None:
        """Take over what comes in until the other side is closed, which means to `stop`."""
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdin)
        while line := await reader.readline():
            task, *more = json.loads(line)
            came = Delivery(Task(**task), *more)
            self._waiting.append(came)
            with contextlib.suppress(Unreachable):  # then with the next look at the leases
                await self._take_over([came])
            self._news.set()
        stop()

    async def claim(self, types: Sequence[str], limit: int, wait: float = 0.0) -> list[Delivery]:
        """Start what waits, but never more than `width` that are not settled: so a death has that many suspects."""
        if not self._ready:  # from now on somebody prolongs leases here
            self._ready = True
            self._say(READY)
        if wait and not (self._waiting and self._room):
            self._news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)
        unable = [delivery for delivery in self._waiting if delivery.task.type not in types]
        if unable:
            outcome = Wait("its plugin could not be set up in the process for suspects", REFUSED)
            await self.settle([(delivery, outcome) for delivery in unable])
            self._waiting = [delivery for delivery in self._waiting if delivery not in unable]
        while wait and self._early > 0:
            self._news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._early)
        room = min(limit, self._room, math.isqrt(self._width)) if self._early <= 0 else 0
        claimed, self._waiting = self._waiting[:room], self._waiting[room:]
        if claimed and self._width > 1:
            self._next = time.monotonic() + STEP
        for delivery in claimed:
            self._running.add(name_of(delivery))
            self._say(f"start {name_of(delivery)}\n".encode())
        return claimed

    @property
    def _early(self) -> float:
        """Seconds until some more may be started."""
        return self._next - time.monotonic() if self._running else 0.0

    @property
    def _room(self) -> int:
        return max(0, self._width - len(self._running))

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        self._say(b"alive\n")  # also if the storage does not answer: that is not our fault
        lost = await self._take_over([*deliveries, *self._waiting])
        return [delivery for delivery in deliveries if delivery in lost]

    async def settle(
        self,
        outcomes: Sequence[tuple[Delivery, Outcome]],
        counters: Mapping[str, float] | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> list[Delivery]:
        lost = await self._queue.settle(outcomes, counters, answers)
        for delivery, outcome in outcomes:
            self._running.discard(name_of(delivery))
            word = "lost" if delivery in lost else KINDS[type(outcome)]
            self._say(f"{word} {name_of(delivery)}\n".encode())
        self._news.set()
        return lost

    def ran(self, delivery: Delivery) -> None:
        """Its handler has ended; what is left to do is the storage's."""
        self._say(f"ran {name_of(delivery)}\n".encode())

    async def prune(self, older_than: float) -> int:
        return 0

    async def _take_over(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        lost = await self._queue.extend(deliveries)
        gone = [delivery for delivery in self._waiting if delivery in lost]
        self._waiting = [delivery for delivery in self._waiting if delivery not in gone]
        for delivery in gone:
            self._say(f"lost {name_of(delivery)}\n".encode())
        return lost

    def _say(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # the other side is dead: then there is nobody to tell
            self._answers.write(line)


def answers_of_stdout() -> IO[bytes]:
    """Keep stdout for answers, and for last words: what a handler prints goes to stderr from now on, or it would pass
    for one."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    last_words.leave_to(answers)
    os.dup2(2, 1)
    return answers
