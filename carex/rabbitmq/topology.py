"""The exchanges and queues that tasks and answers go through: checked, declared if missing, never changed or deleted.

Everything is durable and without arguments, so that what an older installation declared fits. Limits, dead-letter
exchanges and the like belong into a policy, which needs no declaration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from carex.rabbitmq.connection import Broker, Rejected
from carex.settings import RabbitMQSettings

NOT_ALLOWED, MISSING, LOCKED, OTHER = 403, 404, 405, 406
MISSING_ADVICE = "The bridge, or a worker that consumes it, declares it, unless rabbitmq.declare is false."
Question = Callable[[Any, Callable[[Any], None]], object]


@dataclass(frozen=True)
class Difference:
    """Something in RabbitMQ that is not as Carex would declare it."""

    kind: str
    """`exchange`, `queue` or `binding`."""
    name: str
    argument: str
    """What differs, as `durable` or `x-message-ttl`; empty if the thing is missing or may not be looked at."""
    wanted: str
    found: str
    advice: str

    def __str__(self) -> str:
        if not self.argument:
            return f"{self.kind} {self.name} is {self.found}. {self.advice}"
        return f"{self.kind} {self.name}: {self.argument} is {self.found}, not {self.wanted}. {self.advice}"


@dataclass(frozen=True)
class QueueState:
    """A queue as RabbitMQ sees it now; None where it is not there."""

    name: str
    messages: int | None
    """Those that are ready for a consumer."""
    consumers: int | None


RESPONSE_KEY = "response"
"""The routing key of our answers."""


def queue_of(system: str) -> str:
    """Where a system's tasks wait for it."""
    return f"{system}.queue"


def system_of(queue: str) -> str | None:
    """The system whose queue has this name; None for a name of another form."""
    system = queue.removesuffix(queue_of(""))
    return system if queue_of(system) == queue and system else None


def routing_key(system: str, topic: str) -> str:
    return f"{system}.{topic}"


async def check(
    broker: Broker, settings: RabbitMQSettings, systems: Iterable[str], *, declare: bool | None = None
) -> list[Difference]:
    """Declare what is missing, if `declare` (by default: if the settings) say so; return what is not as wanted.

    An exchange of another type is kept. Raises Unreachable.
    """
    declare = settings.declare if declare is None else declare
    found: list[Difference] = []
    for exchange in (settings.tasks_exchange, settings.responses_exchange):
        found += await _exchange(broker, exchange, settings.exchange_type, declare)
    keys = {queue_of(system): (settings.tasks_exchange, routing_key(system, "#")) for system in systems}
    keys[settings.responses_queue] = (settings.responses_exchange, "#")
    for queue in [*keys, settings.dead_queue]:
        found += await _queue(broker, queue, declare)
    if declare:
        for queue, (exchange, key) in keys.items():
            found += await _bind(broker, queue, exchange, key)
        # An exchange that was there may be direct: then # is only a word, and our answers need their own.
        found += await _bind(broker, settings.responses_queue, settings.responses_exchange, RESPONSE_KEY)
    return found


async def mend(broker: Broker, settings: RabbitMQSettings, system: str, topic: str) -> list[Difference]:
    """After a message was returned: make its way anew, if the settings allow it; return what stands in it.

    Binds the exact routing key too, which an exchange of type `direct` needs.
    """
    found = await check(broker, settings, [system])
    if settings.declare:
        key = routing_key(system, topic)
        found += await _bind(broker, queue_of(system), settings.tasks_exchange, key)
    return found


async def look(broker: Broker, queues: Iterable[str]) -> list[QueueState]:
    """How many messages and consumers each queue has. Raises Unreachable."""
    return [await _look(broker, queue) for queue in queues]


async def _look(broker: Broker, queue: str) -> QueueState:
    try:
        method = (await broker.ask(_passive_queue(queue))).method
    except Rejected as error:
        if error.code not in (MISSING, LOCKED, NOT_ALLOWED):
            raise
        return QueueState(queue, None, None)
    return QueueState(queue, method.message_count, method.consumer_count)


async def _exchange(broker: Broker, name: str, type: str, declare: bool) -> list[Difference]:
    def passive(channel: Any, answer: Callable[[Any], None]) -> None:
        channel.exchange_declare(name, passive=True, callback=answer)

    def active(channel: Any, answer: Callable[[Any], None]) -> None:
        channel.exchange_declare(name, exchange_type=type, durable=True, callback=answer)

    return await _thing(broker, "exchange", name, passive, active, declare)


async def _queue(broker: Broker, name: str, declare: bool) -> list[Difference]:
    def active(channel: Any, answer: Callable[[Any], None]) -> None:
        channel.queue_declare(name, durable=True, callback=answer)

    return await _thing(broker, "queue", name, _passive_queue(name), active, declare)


def _passive_queue(name: str) -> Question:
    return lambda channel, answer: channel.queue_declare(name, passive=True, callback=answer)


async def _thing(
    broker: Broker, kind: str, name: str, passive: Question, active: Question, declare: bool
) -> list[Difference]:
    """Look first: declaring is only tried on what is missing, or to hear how what is there differs."""
    try:
        await broker.ask(passive)
    except Rejected as error:
        if error.code != MISSING:
            return [_difference(kind, name, error)]
        if not declare:
            return [Difference(kind, name, "", "there", "missing", MISSING_ADVICE)]
    try:
        await broker.ask(active)
    except Rejected as error:
        if error.code == NOT_ALLOWED:  # who may not declare need not: it is there, or the next message will tell
            return []
        return [_difference(kind, name, error)]
    return []


async def _bind(broker: Broker, queue: str, exchange: str, key: str) -> list[Difference]:
    try:
        await broker.ask(lambda channel, answer: channel.queue_bind(queue, exchange, key, callback=answer))
    except Rejected as error:
        return [_difference("binding", f"{exchange} → {queue} ({key})", error)]
    return []


def _difference(kind: str, name: str, error: Rejected) -> Difference:
    clash = re.search(r"inequivalent arg '([^']*)'.*: received (.*) but current is (.*)", error.text, re.DOTALL)
    if clash:
        argument, wanted, found = (_plain(part) for part in clash.groups())
        return Difference(kind, name, argument, wanted, found, _advice(kind, argument))
    if error.code == LOCKED:
        return Difference(kind, name, "exclusive", "false", "true", "Another connection owns it: ask whose it is.")
    if error.code == NOT_ALLOWED:
        advice = "Give the user of rabbitmq.username the right: rabbitmqctl set_permissions."
        return Difference(kind, name, "", "allowed", "not allowed", advice)
    return Difference(kind, name, "", "there", error.text, "Look into RabbitMQ's log.")


def _advice(kind: str, argument: str) -> str:
    if kind == "exchange" and argument == "type":
        return (
            "It is kept. With direct, every topic gets a binding of its own when it first comes; "
            "fanout and headers do not route by topic."
        )
    if argument == "durable":
        return "What is in it does not survive a restart of RabbitMQ. Carex uses it as it is."
    return "Carex uses it as it is. To be rid of the difference, empty it, delete it and start Carex again."


def _plain(text: str) -> str:
    """`the value '60000' of type 'long'` is 60000, and `none` is none."""
    value = re.match(r"(?:the value )?'(.*?)'(?: of type '.*')?$", text.strip())
    return value.group(1) if value else text.strip()
