"""Takes tasks from RabbitMQ into the queue, and no more than the worker has room for: the backlog stays in RabbitMQ.

A message is acknowledged when its task is stored, or stored already: the same message may come again. One that is no
task goes to the queue of the dead with its reason, one without a handler is answered at once; both are acknowledged
when RabbitMQ has confirmed that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from loguru import logger

from carex.errors import Unreachable
from carex.queue import Answer, Delivery, Filter, Queue
from carex.rabbitmq.connection import Broker, Consumer, Incoming, Outgoing, Receipt
from carex.rabbitmq.outbox import Outbox
from carex.settings import RabbitMQSettings
from carex.task import BpmnError, Done, Outcome, Task

HOLD = 5.0
"""Seconds for which messages are held when there is no room: then they are given back, for others to take."""
CLAIM = 0.1
"""Seconds within which the worker claims what was put; if it did not, another did."""
AGAIN = 2.0
REASON = "x-carex-reason"
"""The header that says why a message is dead."""


class Intake:
    """`run` until cancelled; `moved()` tells it that there may be room."""

    def __init__(
        self,
        broker: Broker,
        queue: Queue,
        outbox: Outbox,
        settings: RabbitMQSettings,
        *,
        prefetch: int,
        room: Callable[[], int],
        to_task: Callable[[Incoming], Task],
        refusal: Callable[[str], Outcome | None],
        answer: Callable[[Delivery, Outcome, int], str],
    ) -> None:
        """`to_task` raises ValueError for what is no task; `refusal` is the answer for a type that nobody here runs."""
        self._broker = broker
        self._queue = queue
        self._outbox = outbox
        self._settings = settings
        self._prefetch = prefetch
        self._window = prefetch  # how many messages may be unacknowledged now
        self._room = room
        self._to_task = to_task
        self._refusal = refusal
        self._answer = answer
        self._hand: list[Incoming] = []  # taken from RabbitMQ and not looked at yet
        self._arrived = asyncio.Event()
        self._moved = asyncio.Event()
        self._consumers: list[Consumer] = []
        self.put = 0
        """How many tasks this process took in; those that were there already are not counted."""
        self.dead = 0

    def moved(self) -> None:
        self._moved.set()

    async def run(self) -> None:
        self._consumers = [
            self._broker.consume(queue, self._window, self._take) for queue in dict.fromkeys(self._settings.consume)
        ]
        while True:
            await self._arrived.wait()
            if room := await self._space():
                if room >= 2 * self._window:
                    self._resume(min(room, self._prefetch))
                batch, self._hand = self._hand[:room], self._hand[room:]
                if not self._hand:
                    self._arrived.clear()
                self._moved.clear()
                await self._store([each for each in batch if self._broker.holds(each)])
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), CLAIM)

    def stop(self) -> None:
        """Take nothing more; what is in hand goes back to RabbitMQ."""
        for consumer in self._consumers:
            consumer.pause()
        self._give_back()

    def _take(self, incoming: Incoming) -> None:
        self._hand.append(incoming)
        self._arrived.set()

    # ------------------------------------------------------------------ room

    async def _space(self) -> int:
        """The worker's room. If it has none for long, give back what is in hand, wait for some, and return 0."""
        end = time.monotonic() + HOLD
        while not (room := self._room()):
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), end - time.monotonic())
            except asyncio.TimeoutError:
                await self._pause()
                return 0
        return room

    async def _pause(self) -> None:
        self.stop()
        while not (room := self._room()):
            self._moved.clear()
            await self._moved.wait()
        # No more than can be taken now: some kinds of queues drop a message that was given back too often.
        self._resume(min(room, self._prefetch))

    def _give_back(self) -> None:
        hand, self._hand = self._hand, []
        self._arrived.clear()
        for incoming in hand:
            self._broker.nack(incoming)

    def _resume(self, window: int) -> None:
        self._window = window
        for consumer in self._consumers:
            consumer.pause()
            consumer.resume(window)

    # ------------------------------------------------------------------ the messages

    async def _store(self, batch: Sequence[Incoming]) -> None:
        """Put the tasks among these messages, and deal with the others."""
        tasks, dead, refused = [], [], []
        for incoming in batch:
            try:
                task = self._to_task(incoming)
            except ValueError as error:
                dead.append((incoming, str(error)))
                continue
            if outcome := self._refusal(task.type):
                refused.append((incoming, task, outcome))
            else:
                tasks.append((incoming, task))
        if tasks:
            await self._put(tasks)
        if refused:
            await self._refuse(refused)
        if dead:
            await self._bury(dead)

    async def _put(self, tasks: Sequence[tuple[Incoming, Task]]) -> None:
        try:
            placed = await self._queue.put([task for _, task in tasks])
            self._broker.ack(*(incoming for incoming, _ in tasks))
            again = {place.id: task for place, (_, task) in zip(placed, tasks, strict=True) if not place.new}
            if again:
                await self._answer_again(again)
        except Unreachable as error:
            logger.error("Tasks from RabbitMQ cannot be stored: {} They stay there. Trying on.", error.message)
            self._later(incoming for incoming, _ in tasks)
        else:
            self.put += len(tasks) - len(again)

    async def _answer_again(self, tasks: Mapping[str, Task]) -> None:
        """Work that is done and comes again was not understood by who asked for it: say once more how it ended."""
        answers = []
        for entry in await self._queue.tasks(Filter(ids=list(tasks), states=["done"])):
            outcome: Outcome = Done(entry.result)
            if entry.reason:
                code, _, reason = entry.reason.partition(": ")
                outcome = BpmnError(code, reason)
            delivery = Delivery(tasks[entry.task.id], 0, "", 0, time.time())
            answers.append(Answer.to(delivery, self._answer(delivery, outcome, 1)))
        await self._outbox.publish(answers)

    async def _refuse(self, refused: Sequence[tuple[Incoming, Task, Outcome]]) -> None:
        deliveries = [(Delivery(task, 0, "", 0, time.time()), outcome) for _, task, outcome in refused]
        answers = [Answer.to(delivery, self._answer(delivery, outcome, 1)) for delivery, outcome in deliveries]
        for (incoming, task, outcome), arrived in zip(refused, await self._outbox.publish(answers), strict=True):
            if arrived:
                logger.error("{} from {} is answered with a failure: {}", task.type, incoming.queue, outcome)
                self._broker.ack(incoming)
            else:
                self._later([incoming])

    async def _bury(self, dead: Sequence[tuple[Incoming, str]]) -> None:
        queue = self._settings.dead_queue
        messages = [
            Outgoing(
                exchange="",
                routing_key=queue,
                body=incoming.body,
                message_id=incoming.message_id or "",
                type=incoming.type or "",
                headers={**incoming.headers, REASON: reason[:1000], "x-carex-queue": incoming.queue},
            )
            for incoming, reason in dead
        ]
        for (incoming, reason), receipt in zip(dead, await self._broker.publish(messages), strict=True):
            if receipt is Receipt.CONFIRMED:
                logger.error("A message from {} is no task and now in {}: {}", incoming.queue, queue, reason)
                self.dead += 1
                self._broker.ack(incoming)
            else:
                self._later([incoming])

    def _later(self, batch: Iterable[Incoming]) -> None:
        """Try these again in a while; they stay ours meanwhile."""
        for incoming in batch:
            asyncio.get_running_loop().call_later(AGAIN, self._take, incoming)
