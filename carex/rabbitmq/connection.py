"""The way to RabbitMQ, as the rest of Carex sees it: publish with a receipt, consume, acknowledge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from carex.errors import Unreachable
from carex.rabbitmq.consumer import Consumer
from carex.rabbitmq.link import Link
from carex.rabbitmq.message import Incoming, Outgoing, Receipt
from carex.rabbitmq.publisher import Publisher
from carex.settings import RabbitMQSettings

__all__ = ["Broker", "Consumer", "Incoming", "Outgoing", "Receipt", "Rejected"]

ANSWER = 5.0
"""Seconds that the broker may take to answer a question."""


class Rejected(Exception):
    """RabbitMQ refused what was asked: 403 not allowed, 404 not there, 405 locked, 406 other arguments."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Broker:
    """Two connections in the caller's event loop, made again whenever they break: one to publish, one to consume.

    Two, because an alarm (memory, disk) makes RabbitMQ stop reading from who publishes, acknowledgements included.
    """

    def __init__(self, settings: RabbitMQSettings, *, name: str) -> None:
        """`name` is what RabbitMQ shows for the connections."""
        self._publisher = Publisher()
        self._consumers: list[Consumer] = []
        self._out = Link(settings, name, self._publisher.open, self._publisher.lose)
        self._in = Link(settings, f"{name}, consuming", self._consume_all)

    @property
    def started(self) -> bool:
        return self._out.begun

    @property
    def ready(self) -> bool:
        """Whether messages can be published now."""
        return self._publisher.opened.is_set() and not self._out.blocked

    @property
    def why_not(self) -> str:
        """Why it is not ready; empty if it is."""
        if self.ready:
            return ""
        return self._out.why_not or self._out.blocked or f"{self._out.place}: the channel is being opened"

    async def start(self, *, patient: bool = True) -> None:
        """Connect; return when the first attempt has ended, and go on trying in the background.

        Raises ConfigError for what trying again would not mend: password, virtual host, TLS. A broker that does not
        answer is only logged, unless not `patient`: then it raises Unreachable.
        """
        from loguru import logger

        self._out.begin(quiet=True)
        try:
            await self._out.attempted()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._publisher.opened.wait(), ANSWER)
            if not self._publisher.opened.is_set():
                raise Unreachable(f"{self._out.place} is connected, but does not open a channel.")
        except Unreachable as error:
            if not patient:
                await self.close()
                raise
            logger.error("{} Trying on.", error.message)
        except BaseException:
            await self.close()
            raise

    async def until_ready(self) -> None:
        while not self.ready:
            await self._publisher.opened.wait()
            await self._out.unblocked.wait()

    async def publish(self, messages: Sequence[Outgoing], timeout: float = 5.0) -> list[Receipt]:
        """Publish, and say what became of each; never raises for the broker's sake. May be called concurrently."""
        if not self.ready:
            return [Receipt.UNSENT] * len(messages)
        return await self._publisher.publish(messages, timeout)

    def consume(self, queue: str, prefetch: int, on_message: Callable[[Incoming], None]) -> Consumer:
        """Call `on_message` with each message; at most `prefetch` are unacknowledged at a time."""
        consumer = Consumer(queue, prefetch, on_message)
        self._consumers.append(consumer)
        self._in.begin(quiet=True)  # the other connection says it
        if self._in.connection is not None:
            consumer.open(self._in.connection)
        return consumer

    def _consume_all(self, connection: Any) -> None:
        for consumer in self._consumers:
            consumer.open(connection)

    def ack(self, *incoming: Incoming) -> None:
        """Acknowledge; those of a connection that has broken since are ignored: RabbitMQ delivers them again."""
        for each in incoming:
            each._channel.ack(each._tag)

    def holds(self, incoming: Incoming) -> bool:
        """Whether the message is still ours; if not, RabbitMQ delivers it again."""
        return bool(incoming._channel.channel.is_open)

    def nack(self, incoming: Incoming, requeue: bool = True) -> None:
        """Give a message back, or, without `requeue`, away."""
        incoming._channel.nack(incoming._tag, requeue)

    async def ask(self, question: Callable[[Any, Callable[[Any], None]], object]) -> Any:
        """Ask on a channel of its own: `question` is given the channel and what to call with the answer.

        Raises Rejected, or Unreachable if there is no connection or no answer.
        """
        connection = self._out.connection
        if connection is None:
            raise Unreachable(self._out.why_not)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def closed(channel: Any, reason: Any) -> None:
            if not answer.done():
                code, text = getattr(reason, "reply_code", 0), getattr(reason, "reply_text", str(reason))
                answer.set_exception(Rejected(code, text) if code else Unreachable(f"{self._out.place}: {text}"))

        def answered(frame: Any) -> None:
            if not answer.done():
                answer.set_result(frame)

        def opened(channel: Any) -> None:
            channel.add_on_close_callback(closed)
            question(channel, answered)

        channel = connection.channel(on_open_callback=opened)
        try:
            return await asyncio.wait_for(answer, ANSWER)
        except asyncio.TimeoutError:
            raise Unreachable(f"{self._out.place} does not answer.") from None
        finally:
            if channel.is_open:
                channel.close()

    async def close(self) -> None:
        for consumer in self._consumers:
            consumer.cancel()
        await self._in.close()
        await self._out.close()
        self._publisher.lose()
