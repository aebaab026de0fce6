"""Carries answers from RabbitMQ to the engine, and acknowledges each after the engine's word.

What becomes of an answer:

- the engine takes it, or says that the task has ended before: acknowledged;
- the engine will never take it, or it would end the process by mistake: the task gets an incident that says why, and
  the answer is laid aside in the queue of dead ones, too;
- nobody can read it: laid aside, with the reason in its header;
- the task is suspended: it waits, and goes to the end of its queue;
- the engine is out: nothing more is taken, and what is in hand waits for it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import anyio
from loguru import logger

from carex.camunda import variables
from carex.camunda.answers import EngineError, Verdict
from carex.camunda.engine import Engine
from carex.camunda.messages import Malformed, Response, parse_response
from carex.camunda.models import Models
from carex.camunda.stats import Stats
from carex.errors import Unreachable
from carex.rabbitmq import topology
from carex.rabbitmq.connection import Broker, Rejected
from carex.rabbitmq.message import Incoming, Outgoing, Receipt
from carex.settings import Settings

REASON, POSTPONED = "x-carex-reason", "x-carex-postponed"
"""Headers of messages that were laid aside or sent round."""
SUSPENDED = 5.0
TRIES = 5
KEPT = 666
"""Characters that the engine keeps of a failure's message."""
RELOCK_MS = 20_000


class Unfit(Exception):
    """The engine must be told that this answer cannot be used; the text says why."""


class Later(Exception):
    """The answer cannot be used now. `hopeless` if only this one cannot, and for no reason that will pass."""

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless


T = TypeVar("T")


class Responses:
    """`answered` is called with each task's id as soon as an answer is in hand."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        broker: Broker,
        models: Models,
        stats: Stats,
        answered: Callable[[str], None] = lambda task_id: None,
    ) -> None:
        self._camunda, self._rabbitmq = settings.camunda, settings.rabbitmq
        self._engine, self._broker, self._models = engine, broker, models
        self._stats, self._answered = stats, answered
        self.in_hand: dict[str, deque[tuple[Incoming, Response]]] = {}
        """Answers by task; those of one task are carried one after the other."""
        self._waiting: asyncio.Queue[str] = asyncio.Queue()  # tasks whose first answer nobody carries yet
        self._up = asyncio.Event()
        self._up.set()
        self._json = True  # until the engine says that it knows no such type

    async def run(self, stopping: anyio.Event) -> None:
        """Carry answers until told to stop; then finish what is in hand, unless the engine is out."""
        async with anyio.create_task_group() as group:
            self._group, self._stopping = group, stopping
            self._consumer = self._broker.consume(
                self._rabbitmq.responses_queue, self._camunda.completes * 8, self._take
            )
            for _ in range(self._camunda.completes):
                group.start_soon(self._carry_all)
            await stopping.wait()
            self._consumer.pause()
            while self.in_hand and self._up.is_set():  # noqa: ASYNC110 - either may come true
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
        self._consumer.cancel()

    def _take(self, incoming: Incoming) -> None:
        try:
            response = parse_response(incoming.body)
        except Malformed as error:
            self._group.start_soon(self._bury, incoming, error.reason)
            return
        self._answered(response.task_id)
        if response.task_id in self.in_hand:
            self.in_hand[response.task_id].append((incoming, response))
        else:
            self.in_hand[response.task_id] = deque([(incoming, response)])
            self._waiting.put_nowait(response.task_id)

    async def _carry_all(self) -> None:
        while True:
            task_id = await self._waiting.get()
            answers = self.in_hand[task_id]
            incoming, response = answers[0]
            try:
                await self._carry(incoming, response)
            finally:
                answers.popleft()
                if answers:
                    self._waiting.put_nowait(task_id)
                else:
                    del self.in_hand[task_id]

    async def _carry(self, incoming: Incoming, response: Response) -> None:
        try:
            result = await self._tell(response)
        except Unfit as error:
            await self._make_incident(incoming, response, str(error))
        except Later as error:
            if error.hopeless and _rounds(incoming) >= TRIES:
                await self._make_incident(incoming, response, str(error))
            else:
                self._group.start_soon(self._postpone, incoming, str(error))
        else:
            if result == "stale":
                await self._bury(incoming, "another worker has the task", "stale")
            else:
                self._settle(incoming, result)

    def _settle(self, incoming: Incoming, result: str) -> None:
        self._stats.answered[result] += 1
        self._broker.ack(incoming)

    async def _tell(self, response: Response) -> str:
        """Tell the engine; return what came of it. Raises Unfit and Later."""
        if response.unfit and response.kind != "failure":
            raise Unfit("; ".join(response.unfit))
        worker = response.worker_id or self._camunda.worker_id
        for attempt in range(TRIES):
            try:
                await self._while_up(lambda: self._say(response, worker))  # noqa: B023 - awaited in this turn
                return response.kind
            except EngineError as error:
                verdict, text = error.answer.verdict, error.answer.message
                if verdict is Verdict.GONE:
                    return "gone"
                if verdict is Verdict.SUSPENDED:
                    raise Later(text) from None
                if verdict is Verdict.BAD_INPUT and not (error.answer.refuses_json and self._json):
                    raise Unfit(f"The engine refused the answer: {text}") from None
                if verdict is Verdict.BAD_INPUT:
                    logger.info("{} knows no variables of type Json: it gets them as text.", self._engine.address)
                    self._json = False
                    continue
                if verdict is Verdict.RACE:
                    await anyio.sleep(random.uniform(0.02, 0.1) * (attempt + 1))  # noqa: S311
            owner = await self._owner(response)
            if owner == "":
                return "gone"
            if owner is not None and response.worker_id and owner not in (response.worker_id, self._camunda.worker_id):
                return "stale"
            worker = owner or await self._relock(response)
        raise Unfit(f"The engine refused the answer {TRIES} times: {text}")

    async def _say(self, response: Response, worker: str) -> None:
        if response.kind == "complete":
            await self._engine.complete(response.task_id, worker, self._variables(response))
        elif response.kind == "failure":
            await self._fail(response, worker)
        else:
            task = await self._engine.external_task(response.task_id)
            if not await self._models.catches(task, response.error_code):
                raise Unfit(
                    f"Nothing in the process {task.get('processDefinitionKey')} catches the error "
                    f"{response.error_code!r}: it would end the process silently. {response.error_message}".strip()
                )
            await self._engine.bpmn_error(
                response.task_id, worker, response.error_code, response.error_message, self._variables(response)
            )

    async def _fail(self, response: Response, worker: str) -> None:
        """Count the retries as the engine expects it: it never does so itself, and 0 makes an incident."""
        retries, pause = response.retries, response.retry_timeout_ms
        if retries is None:
            left = (await self._engine.external_task(response.task_id)).get("retries")
            retries = max((left if left is not None else self._camunda.retries) - 1, 0)
        message = response.error_message or "The worker gave no reason."
        said = [response.error_details, message if len(message) > KEPT else "", *response.unfit]
        await self._engine.failure(
            response.task_id,
            worker,
            message=message[:KEPT],
            details="\n\n".join(filter(None, said)),
            retries=retries,
            retry_timeout_ms=int(self._camunda.retry_timeout * 1000) if pause is None else pause,
            variables=self._variables(response),
        )

    def _variables(self, response: Response) -> dict[str, dict[str, object]]:
        found = dict(response.variables)
        return found if self._json else variables.without_json(found)

    async def _owner(self, response: Response) -> str | None:
        """Who holds the task: None if nobody does, "" if there is no such task any more."""
        try:
            task = await self._while_up(lambda: self._engine.external_task(response.task_id))
        except EngineError as error:
            if error.answer.verdict is Verdict.GONE:
                return ""
            raise Later(error.message) from None
        return task.get("workerId") or None

    async def _relock(self, response: Response) -> str:
        """Lock a task that somebody unlocked, so that its answer is taken."""
        try:
            worker = self._camunda.worker_id
            await self._while_up(lambda: self._engine.lock(response.task_id, worker, RELOCK_MS))
        except EngineError as error:
            logger.debug("Task {} was not locked again: {}", response.task_id, error.message)
        return self._camunda.worker_id

    async def _make_incident(self, incoming: Incoming, response: Response, reason: str) -> None:
        """Report the task as failed for good, where an operator sees it, and lay the answer aside."""
        failed = replace(
            response, kind="failure", retries=0, error_message=reason, error_details="", variables={}, unfit=()
        )
        try:
            result = await self._tell(failed)
        except Unfit as error:
            reason, result = f"{reason} The engine took no failure either: {error}", "failure"
        except Later as error:
            self._group.start_soon(self._postpone, incoming, str(error))
            return
        if result == "failure":
            logger.error("The answer to task {} cannot be used: {}", response.task_id, reason)
            await self._bury(incoming, reason, "incident")
        elif result == "gone":
            self._settle(incoming, result)
        else:
            await self._bury(incoming, reason, result)

    async def _bury(self, incoming: Incoming, reason: str, result: str = "dead") -> None:
        """Lay a message aside with its reason, and acknowledge it once that is on disk."""
        if result == "dead":
            logger.error("A response cannot be read and goes to {}: {}", self._rabbitmq.dead_queue, reason)
        headers = {**incoming.headers, REASON: reason[:2000], "x-carex-queue": incoming.queue}
        await self._move(incoming, self._rabbitmq.dead_queue, headers)
        self._settle(incoming, result)

    async def _postpone(self, incoming: Incoming, reason: str) -> None:
        """Send a message round: it must not hold up the others, which are handed over in a limited number."""
        await anyio.sleep(SUSPENDED)
        times = _rounds(incoming) + 1
        logger.log("WARNING" if times == 1 else "DEBUG", "An answer has to wait: {}", reason)
        await self._move(incoming, incoming.queue, {**incoming.headers, POSTPONED: times})
        self._settle(incoming, "postponed")

    async def _move(self, incoming: Incoming, queue: str, headers: dict[str, object]) -> None:
        """Return when RabbitMQ has the message in the other queue."""
        copy = Outgoing(
            "",
            queue,
            incoming.body,
            message_id=incoming.message_id or "",
            type=incoming.type or "",
            headers=headers,
            correlation_id=incoming.correlation_id,
        )
        while True:
            await self._broker.until_ready()
            [receipt] = await self._broker.publish([copy])
            if receipt is Receipt.CONFIRMED:
                return
            logger.error("A response cannot be moved to {} ({}), trying again.", queue, receipt.value)
            await anyio.sleep(random.uniform(0.5, 1.5))  # noqa: S311
            try:
                await topology.check(self._broker, self._rabbitmq, [])
            except (Unreachable, Rejected) as error:
                logger.error("RabbitMQ: {}", error)

    async def _while_up(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, again and again while the engine is out. Raises EngineError for everything else, and Later for
        a call that looks like an outage, or is not allowed, while the engine does answer others."""
        for failures in range(TRIES):
            await self._up.wait()
            try:
                return await call()
            except EngineError as error:
                if error.answer.verdict not in (Verdict.OUTAGE, Verdict.CONFIGURATION):
                    raise
                last = error
            self._pause(last)
            await anyio.sleep(0.1 * failures)
        raise Later(last.message, hopeless=last.answer.verdict is Verdict.OUTAGE)

    def _pause(self, error: EngineError) -> None:
        """Take no more until the engine answers."""
        if self._up.is_set():
            self._up.clear()
            self._stats.engine_up = False
            self._consumer.pause()
            logger.error("Answers wait for the engine: {}", error)
            self._group.start_soon(self._wait_for_engine)

    async def _wait_for_engine(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._engine.topic_names()
                break
            except EngineError as error:
                logger.debug("The engine is still out: {}", error.message)
            await anyio.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311
            pause = min(pause * 2, 2.0)
        logger.info("{} answers again.", self._engine.address)
        self._stats.engine_up = True
        self._up.set()
        if not self._stopping.is_set():
            self._consumer.resume()


def _rounds(incoming: Incoming) -> int:
    """How often a message was postponed."""
    times = incoming.headers.get(POSTPONED, 0)
    return times if isinstance(times, int) else 0
