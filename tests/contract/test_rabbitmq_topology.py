"""Exchanges and queues are declared when missing, and what is there is left as it is, with a word about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from carex.rabbitmq.connection import Broker, Outgoing, Receipt
from carex.rabbitmq.topology import Difference, check, look, mend
from carex.settings import RabbitMQSettings

if TYPE_CHECKING:
    from tools.servers import Vhost

EXCHANGE = RabbitMQSettings().tasks_exchange
Act = Callable[[Any, Callable[[Any], None]], object]


def with_broker(vhost: Vhost, scenario: Callable[[Broker, RabbitMQSettings], Any], **more: Any) -> None:
    settings = RabbitMQSettings(
        host=vhost.host,
        port=vhost.port,
        username=vhost.username,
        password=SecretStr(vhost.password),
        vhost=vhost.vhost,
        **more,
    )

    async def run() -> None:
        broker = Broker(settings, name="test")
        await broker.start(patient=False)
        try:
            await asyncio.wait_for(scenario(broker, settings), 60)
        finally:
            await broker.close()

    asyncio.run(run())


def queue(name: str, **how: Any) -> Act:
    return lambda channel, answer: channel.queue_declare(name, callback=answer, **{"durable": True, **how})


def exchange(name: str, type: str, **how: Any) -> Act:
    return lambda channel, answer: channel.exchange_declare(name, type, callback=answer, **{"durable": True, **how})


def to(system: str, topic: str) -> Outgoing:
    return Outgoing(EXCHANGE, f"{system}.{topic}", b"{}", "1", topic)


def test_what_is_missing_is_declared_and_nothing_is_left_to_say(broker: Vhost) -> None:
    async def scenario(mine: Broker, settings: RabbitMQSettings) -> None:
        assert await check(mine, settings, ["1c", "default"]) == []
        assert await check(mine, settings, ["1c", "default"], declare=False) == []
        sent = [to("1c", "1c_sync.data"), to("default", "x"), Outgoing(settings.responses_exchange, "any", b"", "", "")]
        assert await mine.publish(sent) == [Receipt.CONFIRMED] * 3
        states = await look(mine, ["1c.queue", "default.queue", settings.responses_queue, "nowhere"])
        assert [state.messages for state in states] == [1, 1, 1, None]

    with_broker(broker, scenario)


def test_without_leave_to_declare_it_says_what_is_missing(broker: Vhost) -> None:
    async def scenario(mine: Broker, settings: RabbitMQSettings) -> None:
        found = await check(mine, settings, ["1c"])
        assert {(each.kind, each.name) for each in found} == {
            ("exchange", settings.tasks_exchange),
            ("exchange", settings.responses_exchange),
            ("queue", "1c.queue"),
            ("queue", settings.responses_queue),
            ("queue", settings.dead_queue),
        }
        assert {each.found for each in found} == {"missing"}

    with_broker(broker, scenario, declare=False)


@pytest.mark.parametrize(
    ("existing", "argument", "found"),
    [
        (queue("1c.queue", arguments={"x-message-ttl": 60000}), "x-message-ttl", "60000"),
        (queue("1c.queue", arguments={"x-queue-type": "quorum"}), "x-queue-type", "quorum"),
        (queue("1c.queue", durable=False), "durable", "false"),
        (exchange(EXCHANGE, "direct"), "type", "direct"),
    ],
    ids=["ttl", "quorum", "transient", "direct exchange"],
)
def test_what_is_there_is_kept_and_the_difference_named(
    broker: Vhost, existing: Act, argument: str, found: str
) -> None:
    async def scenario(mine: Broker, settings: RabbitMQSettings) -> None:
        await mine.ask(existing)
        (difference,) = await check(mine, settings, ["1c"])
        assert (difference.argument, difference.found) == (argument, found)
        assert found in str(difference)
        await mine.ask(existing)  # still equal to what it was

    with_broker(broker, scenario)


def test_a_queue_of_another_connection_is_named(broker: Vhost) -> None:
    async def scenario(mine: Broker, settings: RabbitMQSettings) -> None:
        other = Broker(settings, name="other")
        await other.start(patient=False)
        await other.ask(queue("1c.queue", exclusive=True, durable=False))
        found = await check(mine, settings, ["1c"])
        assert {each.argument for each in found} == {"exclusive"}
        await other.close()

    with_broker(broker, scenario)


def test_the_way_of_a_returned_message_is_mended(broker: Vhost) -> None:
    async def scenario(mine: Broker, settings: RabbitMQSettings) -> None:
        await mine.ask(exchange(EXCHANGE, "direct"))
        assert await mine.publish([to("1c", "1c_sync")]) == [Receipt.RETURNED]
        found = await mend(mine, settings, "1c", "1c_sync")
        assert [each.argument for each in found] == ["type"]
        assert await mine.publish([to("1c", "1c_sync")]) == [Receipt.CONFIRMED]

    with_broker(broker, scenario)


def test_a_difference_reads_as_a_sentence() -> None:
    missing = Difference("queue", "q", "", "there", "missing", "Declare it.")
    other = Difference("queue", "q", "durable", "true", "false", "It is kept.")
    assert str(missing) == "queue q is missing. Declare it."
    assert str(other) == "queue q: durable is false, not true. It is kept."
