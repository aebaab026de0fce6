"""Takes external tasks from the engine and hands them to RabbitMQ, each to the queue of its system.

One long poll over all topics waits for tasks. When it comes back full, the next round asks for each topic alone, so
that a flood of one cannot starve the others. Beside it the watch asks every second which topics have tasks: that
finds topics nobody knew, and what wakes no long poll: retries that are due, locks that ran out.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import anyio
from loguru import logger

from carex.camunda.answers import EngineError, Verdict
from carex.camunda.engine import Engine
from carex.camunda.locks import Locks
from carex.camunda.messages import LARGEST_TASK, task_body
from carex.camunda.models import Models
from carex.camunda.routes import Route, route_of
from carex.camunda.stats import Stats
from carex.errors import Unreachable
from carex.rabbitmq import topology
from carex.rabbitmq.connection import Broker, Rejected
from carex.rabbitmq.message import Outgoing, Receipt
from carex.settings import Settings

WATCH = 1.0
MODELS = 10.0
"""Seconds between two looks at the topics that have tasks, and at the deployed models."""
KEEP = 3600.0
"""Seconds for which a topic is fetched that no model names and no task has had since: some models compute theirs."""
IDLE = 0.5
"""Seconds without an answer after which a long poll is waiting rather than bringing something."""
ANSWERS_FIRST = 1.0
PUBLISH = 5.0
AT_A_TIME = 4
LONGEST_PAUSE = 30.0
AFTER_CONFIGURATION = 5.0
SILENCE = 30.0
"""Seconds without any topic after which it is said why that may be."""


class Dispatch:
    """`in_hand` are the ids of tasks whose answers are on their way to the engine: those need no second message."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        broker: Broker,
        models: Models,
        locks: Locks,
        stats: Stats,
        in_hand: Collection[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._camunda, self._rabbitmq = settings.camunda, settings.rabbitmq
        self._engine, self._broker, self._models = engine, broker, models
        self._locks, self._stats, self._in_hand, self._clock = locks, stats, in_hand, clock
        self._topics: dict[str, float] = dict.fromkeys(settings.camunda.topics, float("inf"))  # and when last seen
        self._busy: list[str] = []  # topics that have tasks, as of the last watch
        self._pauses: dict[str, tuple[float, float]] = {}  # topic: until when it is not fetched, and for how long
        self._turn = 0
        self._waiting_since: float | None = None  # since when the long poll waits
        self._unconfirmed = 0
        self._changed = asyncio.Event()
        self._trouble = ""

    async def run(self, stopping: anyio.Event) -> None:
        """Fetch and publish until told to stop; then let the last poll end, and publish what it brought."""
        async with anyio.create_task_group() as publishing, anyio.create_task_group() as group:
            group.start_soon(self._locks.run, stopping)
            group.start_soon(self._watch, publishing, stopping)
            await self._poll(publishing, stopping)
        await self._locks.finish()

    async def _poll(self, publishing: Any, stopping: anyio.Event) -> None:
        full = False
        while not stopping.is_set():
            topics = self._open(self._topics)
            if not topics or not self._may_fetch():
                self._stats.broker_up = self._broker.ready
                self._changed.clear()
                await self._pause(0.1 if topics else WATCH)
                continue
            await self._let_answers_pass()
            try:
                found = await (self._fetch_fairly(publishing) if full else self._fetch(topics, publishing, wait=True))
                full = found >= self._camunda.max_tasks
            except EngineError as error:
                full = False
                await self._recover(error, stopping)

    def _may_fetch(self) -> bool:
        """Not while RabbitMQ cannot take messages, nor while it has yet to confirm many."""
        return self._broker.ready and self._unconfirmed < 2 * self._camunda.max_tasks

    async def _let_answers_pass(self) -> None:
        """The engine does so much a second: what is nearly done comes first, for a moment."""
        end = self._clock() + ANSWERS_FIRST
        while len(self._in_hand) > self._camunda.completes and self._clock() < end:  # noqa: ASYNC110
            await anyio.sleep(0.005)

    async def _pause(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._changed.wait()

    async def _fetch(
        self, topics: Sequence[str], publishing: Any, *, wait: bool = False, limit: int | None = None
    ) -> int:
        """Fetch, and let what came be published meanwhile; return how many. Raises EngineError."""
        sent = self._clock()
        self._waiting_since = sent if wait else self._waiting_since
        try:
            tasks = await self._engine.fetch_and_lock(
                topics,
                max_tasks=limit or self._camunda.max_tasks,
                lock_ms=int(self._locks.handover * 1000),
                wait_ms=int(self._camunda.long_poll * 1000) if wait else 0,
            )
        finally:
            self._waiting_since = None if wait else self._waiting_since
        received = self._clock()
        self._well(received)
        if tasks:
            at = (
                (sent + received) / 2 if received - sent < IDLE else received
            )  # a task that was waited for has just come
            self._locks.engine_clock.learn(tasks, self._locks.handover, at)
            self._stats.fetched += len(tasks)
            self._unconfirmed += len(tasks)
            self._locks.handing_over(tasks)
            publishing.start_soon(self._hand_over, tasks)
        return len(tasks)

    async def _fetch_fairly(self, publishing: Any) -> int:
        """Give each topic that has tasks its share of one fetch, some topics at a time."""
        topics = self._open(self._busy) or self._open(self._topics)
        most = self._camunda.max_tasks
        self._turn = (self._turn + most) % len(topics) if len(topics) > most else 0
        topics = (topics[self._turn :] + topics[: self._turn])[:most]
        share, waiting, found = -(-most // len(topics)), iter(topics), 0

        async def some() -> None:
            nonlocal found
            for topic in waiting:
                found += await self._fetch([topic], publishing, limit=share)

        results = await asyncio.gather(*(some() for _ in range(min(AT_A_TIME, len(topics)))), return_exceptions=True)
        for error in filter(None, results):
            raise error
        return found

    async def _watch(self, publishing: Any, stopping: anyio.Event) -> None:
        started = looked = self._clock() - MODELS
        quiet = False
        while not stopping.is_set():
            try:
                self._busy = self._ours(await self._engine.topic_names())
                new = self._learn(self._busy)
                if self._clock() - looked >= MODELS:
                    looked = self._clock()
                    self._learn(self._ours(await self._models.topics()))
                    self._topics = {each: seen for each, seen in self._topics.items() if seen > looked - KEEP}
                    self._stats.working = await self._engine.count_external_tasks(
                        workerId=self._camunda.worker_id, locked=True
                    )
                topics = self._open(self._busy)
                if topics and (new or self._is_idle()) and self._may_fetch():
                    await self._fetch(topics, publishing)
                self._well(None if self._topics else self._clock())  # where nothing can be fetched, nothing is late
            except EngineError as error:
                self._complain(error)
            if not self._topics and not quiet and self._clock() - started > SILENCE + MODELS:
                quiet = True
                logger.warning(
                    "{} names no topics: no model with an external task is deployed and no task is open, or the "
                    "bridge's user may not see them. It needs READ, READ_INSTANCE and UPDATE_INSTANCE on process "
                    "definitions.",
                    self._engine.address,
                )
            with anyio.move_on_after(WATCH):
                await stopping.wait()
        self._changed.set()

    def _is_idle(self) -> bool:
        return self._waiting_since is not None and self._clock() - self._waiting_since > IDLE

    def _learn(self, topics: Collection[str]) -> list[str]:
        new = [topic for topic in topics if topic not in self._topics]
        if new:
            logger.info("Topics to fetch: {}, and now {}.", ", ".join(self._topics) or "none", ", ".join(new))
            self._changed.set()
        now = self._clock()
        self._topics.update((topic, max(self._topics.get(topic, now), now)) for topic in topics)
        return new

    def _ours(self, topics: Collection[str]) -> list[str]:
        """Without those that other programs fetch themselves."""
        others = self._camunda.other_topics
        return [topic for topic in topics if not any(fnmatchcase(topic, pattern) for pattern in others)]

    def _open(self, topics: Iterable[str]) -> list[str]:
        """Those whose way through RabbitMQ is not known to be shut."""
        now = self._clock()
        return [topic for topic in topics if topic not in self._pauses or self._pauses[topic][0] <= now]

    async def _hand_over(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        try:
            ready = []
            for task in tasks:
                if task["id"] in self._in_hand:
                    self._locks.forget(task["id"])
                    continue
                route = route_of(task["topicName"], task.get("extensionProperties") or {}, self._rabbitmq)
                body = task_body(task)
                if len(body) > LARGEST_TASK:
                    await self._refuse(task, len(body))
                else:
                    ready.append((task, route, self._message(task, route, body)))
            timeout = min(PUBLISH, self._locks.handover / 4)
            receipts = await self._broker.publish([message for _, _, message in ready], timeout)
            for (task, route, _), receipt in zip(ready, receipts, strict=True):
                await self._after(task, route, receipt)
        finally:
            self._unconfirmed -= len(tasks)
            self._changed.set()

    def _message(self, task: Mapping[str, Any], route: Route, body: bytes) -> Outgoing:
        return Outgoing(
            self._rabbitmq.tasks_exchange,
            route.routing_key,
            body,
            message_id=task["id"],
            type=task["topicName"].encode()[:255].decode(errors="ignore"),
            reply_to=self._rabbitmq.responses_queue,
        )

    async def _after(self, task: Mapping[str, Any], route: Route, receipt: Receipt) -> None:
        self._stats.published[receipt.value] += 1
        task_id, topic = task["id"], task["topicName"]
        if receipt is Receipt.CONFIRMED:
            self._pauses.pop(topic, None)
            self._locks.published(task_id)
        elif receipt is Receipt.UNKNOWN:  # it may be there: let the lock run out before it is sent again
            self._locks.forget(task_id)
        elif receipt is Receipt.UNSENT:
            await self._locks.give_back(task_id, random.uniform(0.5, 1.5))  # noqa: S311
        else:
            if topic in self._open([topic]):
                self._shut(topic, route, receipt)
                await self._mend(topic, route)
            await self._locks.give_back(task_id, max(self._pauses[topic][0] - self._clock(), 0.1))

    def _shut(self, topic: str, route: Route, receipt: Receipt) -> None:
        _, before = self._pauses.get(topic, (0.0, 0.5))
        pause = min(before * 2, LONGEST_PAUSE)
        self._pauses[topic] = (self._clock() + pause, pause)
        why = "no queue is bound for it" if receipt is Receipt.RETURNED else "the queue takes no more"
        logger.error(
            "{} cannot be published to {} with key {}: {}. Its tasks stay in the engine; trying again in {:g} s.",
            topic,
            self._rabbitmq.tasks_exchange,
            route.routing_key,
            why,
            pause,
        )

    async def _mend(self, topic: str, route: Route) -> None:
        try:
            for difference in await topology.mend(self._broker, self._rabbitmq, route.system, topic):
                logger.error("{}", difference)
        except (Unreachable, Rejected) as error:
            logger.error("RabbitMQ: {}", error)

    async def _refuse(self, task: Mapping[str, Any], size: int) -> None:
        self._stats.published["too_large"] += 1
        self._locks.forget(task["id"])
        try:
            await self._engine.failure(
                task["id"],
                self._camunda.worker_id,
                message=f"The task's variables make a message of {size} bytes; {LARGEST_TASK} are the most.",
                retries=0,
            )
        except EngineError as error:
            logger.error("Task {} is too large for a message, and the engine was not told: {}", task["id"], error)

    def _well(self, polled: float | None = None) -> None:
        self._stats.engine_up, self._stats.broker_up = True, self._broker.ready
        self._stats.last_poll = polled if polled is not None else self._stats.last_poll
        if self._trouble and polled is not None:
            logger.info("{} lets tasks be fetched again.", self._engine.address)
            self._trouble = ""

    def _complain(self, error: EngineError) -> None:
        """Say each trouble once."""
        self._stats.engine_up = error.answer.verdict is not Verdict.OUTAGE
        if error.answer.message != self._trouble:
            self._trouble = error.answer.message
            logger.error("Nothing can be fetched: {}", error)

    async def _recover(self, error: EngineError, stopping: anyio.Event) -> None:
        self._complain(error)
        pause = random.uniform(0.3, 1.0) if error.answer.verdict is Verdict.OUTAGE else AFTER_CONFIGURATION  # noqa: S311
        with anyio.move_on_after(pause):
            await stopping.wait()
