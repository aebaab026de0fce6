"""The engine's locks on tasks that were handed over: prolonged while the work goes on, or given back.

A task is fetched with the short hand-over lock and gets the working lock once RabbitMQ has it, so that a crash in
between costs seconds. The bridge keeps no state: a sweep over what the engine has locked for all bridges prolongs
what somebody works on. Three kinds of lock it must leave alone, all of which look alike to the engine:

- those with no more than the hand-over time left: fetched, perhaps by a bridge that died before it published;
- those of tasks that failed before, unless this very process set them: a retry timeout is a lock, too;
- those of tasks older than `max_work`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
from loguru import logger

from carex.camunda.answers import EngineError, Verdict
from carex.camunda.engine import Engine
from carex.camunda.stats import Stats
from carex.camunda.variables import moment
from carex.settings import CamundaSettings

GRACE = 0.9
"""Seconds after its publication that a task may be answered in without ever getting the working lock: a call saved."""
TICK = 0.1
AT_A_TIME = 4
PAGE = 500
MOST_PAGES = 200
SAME = 3.0
"""Seconds by which two sightings of one lock may differ."""


class EngineClock:
    """The engine's time, learnt from its answers; this machine's wall clock is never compared with it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._offset: float | None = None
        self._coarse = True

    def learn(self, tasks: Sequence[Mapping[str, Any]], lock: float, at: float) -> None:
        """Tasks fetched `at` a time of our clock say when they expire: `lock` seconds after the engine's time then."""
        expires = _moment(tasks[0].get("lockExpirationTime")) if tasks else None
        if expires is not None:
            self._offset, self._coarse = expires - lock - at, False

    def now(self) -> float | None:
        """Unix seconds by the engine's clock; None as long as it has shown none."""
        return None if self._offset is None else self._clock() + self._offset

    def suppose(self, date: str, at: float) -> None:
        """The HTTP header Date of an answer that came `at` a time of our clock: until a fetched task tells better."""
        if self._coarse and date:
            self._offset = parsedate_to_datetime(date).timestamp() + 0.5 - at


class Locks:
    """Told what is handed over, published and answered; prolongs the locks as long as it runs."""

    def __init__(
        self, engine: Engine, settings: CamundaSettings, stats: Stats, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._worker = settings.worker_id
        self._stats = stats
        self._clock = clock
        self._max_work = settings.max_work
        self.engine_clock = EngineClock(clock)
        self.work = settings.lock_duration_ms / 1000
        self.handover = min(settings.handover_lock, self.work / 3)
        self._margin = min(2.0, self.work / 10)
        self._renew_below = 0.75 * self.work
        self.pause = max((self._renew_below - self.handover - self._margin) / 3, 0.1)
        self._pending: dict[str, float] = {}  # by task id: when it is to get the working lock; inf while unpublished
        self._again: dict[str, bool] = {}  # of the same tasks: whether it failed before
        self._set: dict[str, float] = {}  # of tasks that failed before: the engine's time at which our lock expires
        self._ended: set[str] = set()  # since the sweep began: what it read of them is out of date

    def handing_over(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        for task in tasks:
            self._pending[task["id"]] = float("inf")
            self._again[task["id"]] = task.get("retries") is not None

    def published(self, task_id: str) -> None:
        """RabbitMQ has it: the working lock follows, unless the answer comes first."""
        if task_id in self._pending:
            self._pending[task_id] = self._clock() + GRACE

    def forget(self, task_id: str) -> None:
        """It was answered, or never published: its lock is no concern of ours any more."""
        self._pending.pop(task_id, None)
        self._again.pop(task_id, None)
        self._set.pop(task_id, None)
        self._ended.add(task_id)

    async def give_back(self, task_id: str, after: float) -> None:
        """Let others fetch the task `after` so many seconds. Only its owner can shorten a lock, so nobody is robbed."""
        self.forget(task_id)
        try:
            await self._engine.extend_lock(task_id, self._worker, max(int(after * 1000), 1))
            self._stats.locks["given_back"] += 1
        except EngineError as error:
            logger.debug("Task {} was not given back, its lock will run out: {}", task_id, error.message)

    async def run(self, stopping: anyio.Event) -> None:
        """Prolong locks until told to stop; then the rest of what was published gets its working lock."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_alive, stopping)
            while not stopping.is_set():
                await self._extend_due(self._clock())
                with anyio.move_on_after(TICK):
                    await stopping.wait()
            group.cancel_scope.cancel()

    async def finish(self) -> None:
        """Give the working lock to all that were published and are not answered."""
        await self._extend_due(self._clock() + GRACE)

    async def _extend_due(self, now: float) -> None:
        due = [task_id for task_id, at in self._pending.items() if at <= now]
        await self._extend(due, self._first_extension)

    async def _first_extension(self, task_id: str) -> None:
        if task_id not in self._pending:
            return  # answered since
        again = self._again.get(task_id, False)
        if await self._prolong(task_id):
            self._pending.pop(task_id, None)
            self._again.pop(task_id, None)
            now = self.engine_clock.now()
            if again and now is not None:
                self._set[task_id] = now + self.work

    async def _prolong(self, task_id: str) -> bool:
        """Return False if it should be tried again."""
        try:
            await self._engine.extend_lock(task_id, self._worker, int(self.work * 1000))
        except EngineError as error:
            verdict = error.answer.verdict
            if verdict in (Verdict.LOST_LOCK, Verdict.UNLOCKED):
                self._stats.locks["lost"] += 1
                logger.warning("The lock on task {} was lost, it will be handed over again: {}", task_id, error.message)
            return verdict not in (Verdict.OUTAGE, Verdict.RACE, Verdict.CONFIGURATION)
        self._stats.locks["extended"] += 1
        return True

    async def _extend(self, task_ids: Sequence[str], extend: Callable[[str], Any]) -> None:
        waiting = iter(task_ids)

        async def some() -> None:
            for task_id in waiting:
                await extend(task_id)

        async with anyio.create_task_group() as group:
            for _ in range(min(AT_A_TIME, len(task_ids))):
                group.start_soon(some)

    async def _keep_alive(self, stopping: anyio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.sweep()
            except EngineError as error:
                logger.debug("Locks are not prolonged now: {}", error.message)
            with anyio.move_on_after(self.pause * random.uniform(0.8, 1.0)):  # noqa: S311 - so that bridges spread out
                await stopping.wait()

    async def sweep(self) -> None:
        """Prolong what somebody works on and has less than three quarters of its lock left. Raises EngineError."""
        self._ended.clear()
        left_alone = overdue = 0
        for _ in range(MOST_PAGES):
            rows = await self._engine.external_tasks(
                first_result=left_alone,  # what was prolonged has moved to the end
                max_results=PAGE,
                workerId=self._worker,
                locked=True,
                active=True,
                sorting=[{"sortBy": "lockExpirationTime", "sortOrder": "asc"}],
            )
            self.engine_clock.suppose(*self._engine.date)
            now = self.engine_clock.now()
            if now is None:
                return
            near = [row for row in rows if _left(row, now) < self._renew_below]
            old = {row["id"] for row in near if now - (_moment(row.get("createTime")) or now) > self._max_work}
            due = [row["id"] for row in near if row["id"] not in old and self._is_work(row, now)]
            overdue += len(old)
            left_alone += len(near) - len(due)
            await self._extend(due, self._prolong_again)
            if len(near) < PAGE:
                break
        self._stats.overdue = overdue

    async def _prolong_again(self, task_id: str) -> None:
        if task_id not in self._ended and await self._prolong(task_id) and task_id in self._set:
            self._set[task_id] = (self.engine_clock.now() or 0.0) + self.work

    def _is_work(self, task: Mapping[str, Any], now: float) -> bool:
        """A task that failed before may merely wait out its retry timeout, which only who locked it can tell."""
        if _left(task, now) <= self.handover + self._margin:
            return False
        if task.get("retries") is None:
            return True
        if abs(self._set.get(task["id"], 0.0) - now - _left(task, now)) <= SAME:
            return True
        self._set.pop(task["id"], None)
        return False


def _left(task: Mapping[str, Any], now: float) -> float:
    """Seconds left of a task's lock."""
    return (_moment(task.get("lockExpirationTime")) or now) - now


def _moment(date: str | None) -> float | None:
    return moment(date) if date else None
