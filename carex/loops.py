"""The event loops that handlers run in: one for what comes, and those that a handler holds up.

A handler that blocks its loop holds up all that runs beside it. They have to wait until it lets go, or until its time
is over and the loop is given up with it. But nothing has to that is new, or that had not begun: that goes to a loop
beside it, in another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from loguru import logger

from carex.executor import SHORT_OPENING, Executor, Result
from carex.queue import Delivery
from carex.task import Outcome, Retry, Wait

HELD_UP = 0.2
"""Seconds without a turn after which a loop gets nothing new."""
MOST = 3
"""Loops at a time that a worker has, those that are held up among them."""


class Loops:
    """`make` makes one; `timeout` says for how long the handler of a delivery may run, in seconds."""

    def __init__(self, make: Callable[[], Executor], timeout: Callable[[Delivery], float]) -> None:
        self._make = make
        self._timeout = timeout
        self._current = make()
        self._former: list[Executor] = []
        self._left: list[Result] = []  # of loops that are not there any more
        self._counted: dict[str, float] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def held_up(self) -> int:
        """How many tasks stand in loops that do not turn, or did not: they take no slot from those that can run."""
        return sum(executor.load for executor in self._former)

    @property
    def refused(self) -> dict[str, str]:
        """Plugins that are not set up, and why."""
        return self._current.refused

    async def start(self, patience: float) -> None:
        await self._current.start(patience)

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        self._current.submit(deliveries)

    def take(self) -> list[Result]:
        """The results since the last call."""
        left, self._left = self._left, []
        return [*left, *(result for executor in self._all for result in executor.take())]

    def counters(self) -> dict[str, float]:
        """What the plugins' clients counted since the last call."""
        for executor in self._all:
            self._count(executor)
        counted, self._counted = self._counted, {}
        return counted

    async def look(self) -> int:
        """Go on beside a loop that is held up, and give up those whose culprit's time is over: how many."""
        given_up = 0
        for executor in self._all:
            seconds, culprit, stack = executor.blocked()
            if culprit is None or seconds < HELD_UP:
                if executor is not self._current and not executor.load:
                    self._retire(executor)
                continue
            late = seconds >= self._timeout(culprit)
            if executor is self._current and (late or len(self._former) < MOST - 1):
                await self._go_on_beside(executor, culprit, seconds, stack)
            if late:
                given_up += 1
                self._give_up(executor, culprit, seconds)
        return given_up

    async def stop(self) -> None:
        await asyncio.gather(*(executor.stop() for executor in self._all), *self._stopping)

    @property
    def _all(self) -> list[Executor]:
        return [*self._former, self._current]

    async def _go_on_beside(self, executor: Executor, culprit: Delivery, seconds: float, stack: str) -> None:
        another = self._make()
        await another.start(SHORT_OPENING)
        self._former.append(executor)
        self._current = another
        another.submit(executor.withdraw())
        logger.bind(task_id=culprit.task.id).warning(
            "{} has blocked its event loop for {:.1f} s. What runs beside it waits; new tasks go to another loop. "
            "Use await, or a plain `def` handler.\n{}",
            culprit.task.type,
            seconds,
            stack,
        )

    def _give_up(self, executor: Executor, culprit: Delivery, seconds: float) -> None:
        logger.bind(task_id=culprit.task.id).error(
            "{} does not let go of its event loop: it is given up after {:.0f} s.", culprit.task.type, seconds
        )
        unended = executor.abandon()
        self._forget(executor)
        for delivery in unended:
            outcome: Outcome = Wait(f"{culprit.task.type} {culprit.task.id} blocked the worker", delay=0)
            if delivery is culprit:
                outcome = Retry(f"blocked the event loop for {seconds:.0f} s")
            self._left.append(Result(delivery, outcome, seconds))

    def _retire(self, executor: Executor) -> None:
        """It turns again, and has nothing left to do."""
        self._forget(executor)
        stopping = asyncio.create_task(executor.stop())
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    def _forget(self, executor: Executor) -> None:
        self._former.remove(executor)
        self._left += executor.take()
        self._count(executor)

    def _count(self, executor: Executor) -> None:
        for name, value in executor.counters().items():
            self._counted[name] = self._counted.get(name, 0) + value
