"""Consumes one queue, over reconnects, and after the queue was deleted and made again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from carex.rabbitmq.message import Incoming

AGAIN = 1.0
"""Seconds until a queue that is not there is tried again."""


class Consumer:
    """Messages of one queue, until cancelled. At most `prefetch` of them are unacknowledged at a time."""

    def __init__(self, queue: str, prefetch: int, on_message: Callable[[Incoming], None]) -> None:
        self.queue = queue
        self._prefetch = prefetch
        self._on_message = on_message
        self._connection: Any = None
        self._acks: _Acks | None = None  # of the open channel
        self._tag: str | None = None  # of the subscription, if there is one
        self._paused = False
        self._cancelled = False
        self.missing = False
        """Whether the queue cannot be consumed: it is not there, or not ours."""

    @property
    def consuming(self) -> bool:
        """Whether messages can come now."""
        return self._tag is not None

    def pause(self) -> None:
        """Take no more for now; what is in hand can still be acknowledged."""
        self._paused = True
        if self._acks is not None and self._tag is not None and self._acks.channel.is_open:
            self._acks.channel.basic_cancel(self._tag)
        self._tag = None

    def resume(self, prefetch: int | None = None) -> None:
        """Go on, from now on with at most `prefetch` unacknowledged."""
        self._paused = False
        if prefetch is not None and prefetch != self._prefetch:
            self._prefetch = prefetch
            if self._acks is not None and self._acks.channel.is_open:
                self._acks.channel.basic_qos(prefetch_count=prefetch)
        self._subscribe()

    def cancel(self) -> None:
        """For good; what is in hand and not acknowledged goes back to the queue."""
        self._cancelled, self._tag = True, None
        if self._acks is not None:
            self._acks.flush()
            if self._acks.channel.is_open:
                self._acks.channel.close()
        self._acks = None

    def open(self, connection: Any) -> None:
        """Consume on this connection from now on."""
        self._connection, self._acks, self._tag = connection, None, None
        if not self._cancelled and connection.is_open:
            connection.channel(on_open_callback=self._prepare)

    def _prepare(self, channel: Any) -> None:
        acks = self._acks = _Acks(channel)
        channel.add_on_close_callback(self._closed)
        channel.add_on_cancel_callback(self._deleted)
        channel.basic_qos(prefetch_count=self._prefetch, callback=lambda frame: self._subscribe())
        self._deliver = lambda channel, method, properties, body: self._take(acks, method, properties, body)

    def _subscribe(self) -> None:
        if self._acks is None or not self._acks.channel.is_open or self._paused or self._tag or self._cancelled:
            return

        def found(frame: Any) -> None:
            if self.missing:
                from loguru import logger

                logger.info("RabbitMQ has the queue {} again.", self.queue)
            self.missing = False

        self._tag = self._acks.channel.basic_consume(self.queue, self._deliver, callback=found)

    def _take(self, acks: _Acks, method: Any, properties: Any, body: bytes) -> None:
        acks.unacknowledged[method.delivery_tag] = False
        self._on_message(
            Incoming(
                self.queue,
                body,
                properties.message_id,
                properties.type,
                properties.headers or {},
                properties.reply_to,
                properties.correlation_id,
                method.redelivered,
                method.delivery_tag,
                acks,
            )
        )

    def _deleted(self, frame: Any) -> None:
        """RabbitMQ ended the subscription: the queue was deleted, or its node went."""
        self._tag = None
        self._later(self._subscribe)

    def _closed(self, channel: Any, reason: Any) -> None:
        if self._acks is None or channel is not self._acks.channel:
            return
        self._acks, self._tag = None, None
        connection = self._connection
        if self._cancelled or not connection.is_open:
            return
        if not self.missing:
            from loguru import logger

            self.missing = True
            logger.error(
                "Queue {} cannot be consumed, trying on: {}", self.queue, getattr(reason, "reply_text", reason)
            )
        self._later(lambda: self.open(connection) if connection is self._connection else None)

    def _later(self, act: Callable[[], Any]) -> None:
        asyncio.get_running_loop().call_later(AGAIN, act)


class _Acks:
    """The deliveries of one channel that wait for an acknowledgement. Those of one turn of the loop go out together."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.unacknowledged: dict[int, bool] = {}  # by delivery tag, in order: whether it is to be acknowledged
        self._flushing = False

    def ack(self, tag: int) -> None:
        if tag in self.unacknowledged:
            self.unacknowledged[tag] = True
            if not self._flushing:
                self._flushing = True
                asyncio.get_running_loop().call_soon(self.flush)

    def nack(self, tag: int, requeue: bool) -> None:
        if self.unacknowledged.pop(tag, None) is not None and self.channel.is_open:
            self.channel.basic_nack(tag, requeue=requeue)

    def flush(self) -> None:
        """Acknowledge all up to the oldest that is still in hand with one frame, and the others one by one."""
        self._flushing = False
        first: int | None = None
        single = []
        for tag, acknowledged in self.unacknowledged.items():
            if not acknowledged:
                break
            first = tag
        for tag in [tag for tag, acknowledged in self.unacknowledged.items() if acknowledged]:
            del self.unacknowledged[tag]
            if first is None or tag > first:
                single.append(tag)
        if not self.channel.is_open:
            return  # RabbitMQ delivers them again
        if first is not None:
            self.channel.basic_ack(first, multiple=True)
        for tag in single:
            self.channel.basic_ack(tag)
