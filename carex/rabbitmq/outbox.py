"""Sends the answers that the queue keeps.

The worker that stored an answer hands it over at once, so that it is on its way while others are still being settled.
What could not be sent, and what a worker left behind that died, stays in the queue: after a moment it is anybody's, and
found by looking. An answer is forgotten when RabbitMQ has confirmed it; it may go out twice, with the same message id.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from loguru import logger

from carex.errors import Unreachable
from carex.queue import SENDING, Answer, Queue
from carex.rabbitmq.connection import Broker, Outgoing, Receipt
from carex.rabbitmq.topology import RESPONSE_KEY, check
from carex.settings import RabbitMQSettings

BATCH = 500
LOOK = 2.0
"""Seconds between looks for answers that nobody is sending."""
FORGET = 0.5
"""Seconds after which answers that have arrived are forgotten: many together."""
PATIENCE = SENDING / 2
"""Seconds for which an answer may lie here before it is left to whoever finds it, and that a confirm may take."""


class Outbox:
    """`post` answers that are stored and ours to send; `run` until cancelled. Connects when there is a reason to."""

    def __init__(self, broker: Broker, queue: Queue, settings: RabbitMQSettings) -> None:
        self._broker = broker
        self._queue = queue
        self._settings = settings
        self._posted: list[tuple[float, Answer]] = []
        self._news = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()  # that wait for RabbitMQ's word
        self._arrived: list[str] = []  # confirmed by RabbitMQ, and still in the queue
        self.sent = 0
        """How many answers were sent by this process."""

    def post(self, answers: Sequence[Answer]) -> None:
        if answers:
            now = asyncio.get_running_loop().time()
            self._posted += [(now, answer) for answer in answers]
            self._news.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._broker.started:
            await self._news.wait()
            await self._broker.start()
        look_at = forget_at = 0.0
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), FORGET if self._arrived else LOOK)
            await self._broker.until_ready()
            self._news.clear()
            posted, self._posted = self._posted, []
            self._begin([answer for since, answer in posted if loop.time() - since < PATIENCE])
            try:
                if loop.time() >= forget_at:
                    forget_at = loop.time() + FORGET
                    await self._forget()
                if loop.time() >= look_at:
                    found = await self._queue.answers(BATCH)
                    self._begin(found)
                    look_at = loop.time() + (LOOK if len(found) < BATCH else 0)
            except Unreachable as error:
                logger.warning("What answers there are, and were sent, cannot be stored: {}", error.message)

    async def flush(self) -> None:
        """Send what was posted last, if that is possible now, and wait for what is on its way."""
        posted, self._posted = self._posted, []
        self._begin([answer for _, answer in posted])
        if self._sending:
            await asyncio.wait(self._sending)
        with contextlib.suppress(Unreachable):  # then they go out once more
            await self._forget()

    async def publish(self, answers: Sequence[Answer]) -> list[bool]:
        """Say for each answer whether it has arrived: is in RabbitMQ to stay."""
        messages = [self._message(answer) for answer in answers]
        receipts = await self._broker.publish(messages, PATIENCE)
        returned = [position for position, receipt in enumerate(receipts) if receipt is Receipt.RETURNED]
        if returned:
            await self._mend()
            again = await self._broker.publish([messages[position] for position in returned], PATIENCE)
            for position, receipt in zip(returned, again, strict=True):
                receipts[position] = receipt
        arrived = [receipt is Receipt.CONFIRMED for receipt in receipts]
        self.sent += sum(arrived)
        return arrived

    def _begin(self, answers: Sequence[Answer]) -> None:
        if answers:
            sending = asyncio.create_task(self._send(answers))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def _send(self, answers: Sequence[Answer]) -> None:
        arrived = await self.publish(answers)
        self._arrived += [answer.id for answer, ok in zip(answers, arrived, strict=True) if ok]

    async def _forget(self) -> None:
        """Together, and a little later: each time costs a commit."""
        arrived, self._arrived = self._arrived, []
        try:
            if arrived:
                await self._queue.sent(arrived)
        except Unreachable:
            self._arrived += arrived
            raise

    async def _mend(self) -> None:
        logger.error("Nobody takes answers in RabbitMQ: {} was not there.", self._settings.responses_queue)
        with contextlib.suppress(Unreachable):
            for difference in await check(self._broker, self._settings, []):
                logger.error("{}", difference)

    def _message(self, answer: Answer) -> Outgoing:
        """To the queue that the task named, or to where all answers go."""
        to = answer.reply.get("reply_to")
        return Outgoing(
            exchange="" if to else self._settings.responses_exchange,
            routing_key=str(to or RESPONSE_KEY),
            body=answer.body.encode("utf-8", "replace"),
            message_id=answer.id,
            type="response",
            correlation_id=str(answer.reply.get("task_id", "")) or None,
        )
