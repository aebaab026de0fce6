"""Publishes with receipts: persistent, mandatory, many in flight at a time, and its own count of the confirms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from carex.rabbitmq.message import Outgoing, Receipt

PERSISTENT = 2


class _Batch:
    """What one caller published together."""

    __slots__ = ("done", "left", "receipts")

    def __init__(self, size: int) -> None:
        self.receipts = [Receipt.UNSENT] * size
        self.left = size
        self.done = asyncio.get_running_loop().create_future()

    def settle(self, position: int, receipt: Receipt) -> None:
        self.receipts[position] = receipt
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


class _Flight(NamedTuple):
    batch: _Batch
    position: int
    message: Outgoing


class Publisher:
    """One channel on whatever connection there is. `on_change` is called when it can, or cannot, publish any more."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._channel: Any = None  # open, and counting
        self._tag = 0
        self._flights: dict[int, _Flight] = {}  # by delivery tag, in the order of publishing
        self._returned: set[int] = set()
        self.opened = asyncio.Event()

    def open(self, connection: Any) -> None:
        """Use this connection from now on."""
        self._connection = connection
        connection.channel(on_open_callback=self._prepare)

    def _prepare(self, channel: Any) -> None:
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(self._return)

        def count(frame: Any) -> None:
            self._channel, self._tag = channel, 0
            self.opened.set()

        channel.confirm_delivery(self._confirm, callback=count)

    def lose(self) -> None:
        """The connection has broken: what is in flight may have arrived or not."""
        self._channel = None
        self.opened.clear()
        flights, self._flights, self._returned = self._flights, {}, set()
        for flight in flights.values():
            flight.batch.settle(flight.position, Receipt.UNKNOWN)

    async def publish(self, messages: Sequence[Outgoing], timeout: float) -> list[Receipt]:
        """One receipt a message; those without a word after `timeout` seconds are UNKNOWN."""
        if self._channel is None or not messages:
            return [Receipt.UNSENT] * len(messages)
        batch = _Batch(len(messages))
        for position, message in enumerate(messages):
            self._send(_Flight(batch, position, message))
        try:
            await asyncio.wait_for(batch.done, timeout)
        except asyncio.TimeoutError:
            for flight in [each for each in self._flights.values() if each.batch is batch]:
                batch.receipts[flight.position] = Receipt.UNKNOWN
        return list(batch.receipts)

    def _send(self, flight: _Flight) -> None:
        import pika

        message = flight.message
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=PERSISTENT,
            message_id=message.message_id,
            type=message.type,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
            headers=dict(message.headers) or None,
        )
        channel = self._channel
        if channel is None or not channel.is_open:  # it closed while we were at it
            flight.batch.settle(flight.position, Receipt.UNSENT)
            return
        self._tag += 1
        self._flights[self._tag] = flight
        try:
            channel.basic_publish(message.exchange, message.routing_key, message.body, properties, mandatory=True)
        except Exception as error:  # noqa: BLE001 - a name over 255 bytes, a header that AMQP does not know
            from loguru import logger

            if self._flights.pop(self._tag, None) is not None:  # it did not get onto the wire
                self._tag -= 1
                flight.batch.settle(flight.position, Receipt.REFUSED)
            logger.error("Message {} cannot be published: {:.200}", message.message_id, repr(error))

    def _confirm(self, frame: Any) -> None:
        method = frame.method
        taken = method.NAME == "Basic.Ack"
        upto: Iterator[int] = iter((method.delivery_tag,))
        if method.multiple:  # 0 means all
            upto = takewhile(lambda tag: not method.delivery_tag or tag <= method.delivery_tag, list(self._flights))
        for tag in upto:
            flight = self._flights.pop(tag, None)
            if flight is not None:
                receipt = Receipt.CONFIRMED if taken else Receipt.REFUSED
                if tag in self._returned:
                    self._returned.discard(tag)
                    receipt = Receipt.RETURNED
                flight.batch.settle(flight.position, receipt)

    def _return(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """A message that no queue is bound for comes back before its confirm, and the oldest one first."""
        for tag, (_, _, message) in self._flights.items():
            if (
                message.message_id == properties.message_id
                and (message.exchange, message.routing_key) == (method.exchange, method.routing_key)
                and tag not in self._returned
            ):
                self._returned.add(tag)
                return

    def _closed(self, channel: Any, reason: Any) -> None:
        """The channel alone has closed, because an exchange is not there or not ours to use: open another."""
        if channel is not self._channel:
            return
        from loguru import logger

        text = getattr(reason, "reply_text", str(reason))
        for tag, flight in list(self._flights.items()):
            if f"'{flight.message.exchange}'" in text:
                del self._flights[tag]
                flight.batch.settle(flight.position, Receipt.RETURNED)
        self.lose()
        if self._connection.is_open:
            logger.error("RabbitMQ closed the channel: {}", text)
            self._connection.channel(on_open_callback=self._prepare)
