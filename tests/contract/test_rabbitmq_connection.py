"""The way to RabbitMQ keeps its promises on a real one: a receipt for each message, and it comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from carex.errors import ConfigError, Unreachable
from carex.rabbitmq.connection import Broker, Incoming, Outgoing, Receipt, Rejected
from carex.settings import RabbitMQSettings

if TYPE_CHECKING:
    from tools.servers import Broker as Node
    from tools.servers import Vhost

    StartBroker = Callable[[], Node]

SECONDS = 20.0


def settings_of(vhost: Vhost, /, **more: Any) -> RabbitMQSettings:
    known = {"host": vhost.host, "port": vhost.port, "username": vhost.username, "vhost": vhost.vhost}
    return RabbitMQSettings(**{**known, "password": SecretStr(vhost.password), **more})


@asynccontextmanager
async def connected(vhost: Vhost, /, **more: Any) -> AsyncIterator[Broker]:
    broker = Broker(settings_of(vhost, **more), name="test")
    await broker.start(patient=False)
    try:
        yield broker
    finally:
        await broker.close()


def run(scenario: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(scenario, 60)

    asyncio.run(limited())


def message(id: object = 1, queue: str = "q", exchange: str = "", **more: Any) -> Outgoing:
    return Outgoing(exchange, queue, b"{}", str(id), "test", **more)


async def declare(broker: Broker, queue: str = "q", **arguments: Any) -> None:
    def ask(channel: Any, answer: Callable[[Any], None]) -> None:
        channel.queue_declare(queue, durable=True, arguments=arguments or None, callback=answer)

    await broker.ask(ask)


async def delete(broker: Broker, queue: str = "q") -> None:
    await broker.ask(lambda channel, answer: channel.queue_delete(queue, callback=answer))


async def size(broker: Broker, queue: str = "q") -> int:
    """How many messages are ready for a consumer."""

    def ask(channel: Any, answer: Callable[[Any], None]) -> None:
        channel.queue_declare(queue, passive=True, callback=answer)

    return int((await broker.ask(ask)).method.message_count)


class Inbox:
    """What a consumer got."""

    def __init__(self) -> None:
        self.got: list[Incoming] = []

    def __call__(self, incoming: Incoming) -> None:
        self.got.append(incoming)

    @property
    def ids(self) -> list[str | None]:
        return [each.message_id for each in self.got]


async def until(condition: Callable[[], object]) -> None:
    end = asyncio.get_running_loop().time() + SECONDS
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not come true"
        await asyncio.sleep(0.01)


# ------------------------------------------------------------------ receipts


@pytest.mark.parametrize(
    ("sent", "receipt"),
    [
        (message(queue="q"), Receipt.CONFIRMED),
        (message(queue="nowhere"), Receipt.RETURNED),
        (message(exchange="no-such-exchange"), Receipt.RETURNED),
        (message(queue="full"), Receipt.REFUSED),
        (message(queue="ы" * 200), Receipt.REFUSED),
    ],
    ids=["confirmed", "nobody bound", "no exchange", "queue full", "name too long"],
)
def test_a_receipt_says_what_became_of_a_message(broker: Vhost, sent: Outgoing, receipt: Receipt) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            await declare(mine, "full", **{"x-max-length": 0, "x-overflow": "reject-publish"})
            assert await mine.publish([sent]) == [receipt]
            await mine.until_ready()
            assert await mine.publish([message()]) == [Receipt.CONFIRMED]

    run(scenario())


def test_each_of_many_callers_gets_its_own_receipts(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            batches = [[message(1, "q" if n % 3 else "nowhere"), message(1, "q")] for n in range(60)]
            found = await asyncio.gather(*map(mine.publish, batches))
            fates = [Receipt.CONFIRMED if n % 3 else Receipt.RETURNED for n in range(60)]
            assert found == [[fate, Receipt.CONFIRMED] for fate in fates]
            assert await size(mine) == 100

    run(scenario())


def test_what_was_sent_behind_a_mistake_is_unknown_at_once(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            batch = [message(1, exchange="no-such-exchange"), message(2)]
            receipts = await asyncio.wait_for(mine.publish(batch, timeout=60), SECONDS)
            assert receipts == [Receipt.RETURNED, Receipt.UNKNOWN]

    run(scenario())


def test_a_message_arrives_as_it_was_sent(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            inbox = Inbox()
            mine.consume("q", 1, inbox)
            headers = {"why": "потому"}
            await mine.publish([message(7, reply_to="там", headers=headers, correlation_id="c")])
            await until(lambda: inbox.got)
            (got,) = inbox.got
            assert (got.queue, got.body, got.message_id, got.type) == ("q", b"{}", "7", "test")
            assert (got.reply_to, got.correlation_id, got.headers) == ("там", "c", headers)

    run(scenario())


# ------------------------------------------------------------------ consuming


def test_no_more_than_prefetch_are_unacknowledged(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            await mine.publish([message(n) for n in range(10)])
            inbox = Inbox()
            mine.consume("q", 4, inbox)
            await until(lambda: len(inbox.got) == 4)
            mine.ack(*inbox.got[:2])
            await until(lambda: len(inbox.got) == 6)
            assert await size(mine) == 4

    run(scenario())


def test_acknowledged_in_any_order_is_acknowledged(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            await mine.publish([message(n) for n in range(10)])
            inbox = Inbox()
            consumer = mine.consume("q", 20, inbox)
            await until(lambda: len(inbox.got) == 10)
            for number in (0, 5, 1, 2, 9):
                mine.ack(inbox.got[number])
            await asyncio.sleep(0)
            mine.ack(inbox.got[3])
            consumer.cancel()
            again = Inbox()
            mine.consume("q", 20, again)
            await until(lambda: len(again.got) == 4)
            assert again.ids == ["4", "6", "7", "8"]

    run(scenario())


def test_a_paused_consumer_keeps_what_it_has_and_takes_no_more(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            inbox = Inbox()
            consumer = mine.consume("q", 5, inbox)
            await mine.publish([message(1)])
            await until(lambda: inbox.got)
            consumer.pause()
            await mine.publish([message(2)])
            mine.ack(inbox.got[0])
            assert await size(mine) == 1
            consumer.resume()
            await until(lambda: inbox.ids == ["1", "2"])

    run(scenario())


def test_a_message_given_back_comes_again(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            await declare(mine)
            await mine.publish([message(1)])
            inbox = Inbox()
            mine.consume("q", 5, inbox)
            await until(lambda: inbox.got)
            mine.nack(inbox.got[0])
            await until(lambda: [each.redelivered for each in inbox.got] == [False, True])

    run(scenario())


def test_a_queue_that_is_deleted_and_made_again_is_consumed_again(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            inbox = Inbox()
            consumer = mine.consume("q", 5, inbox)
            await until(lambda: consumer.missing)
            await declare(mine)
            await mine.publish([message(1)])
            await until(lambda: inbox.ids == ["1"])
            await delete(mine)
            await until(lambda: consumer.missing)
            await declare(mine)
            await mine.publish([message(2)])
            await until(lambda: inbox.ids == ["1", "2"])

    run(scenario())


def test_a_question_that_is_refused_says_why_and_harms_nothing(broker: Vhost) -> None:
    async def scenario() -> None:
        async with connected(broker) as mine:
            with pytest.raises(Rejected, match="no queue 'nix'") as refused:
                await size(mine, "nix")
            assert refused.value.code == 404
            assert mine.ready

    run(scenario())


# ------------------------------------------------------------------ trouble


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"password": SecretStr("wrong-password")}, ConfigError, "refuses the user guest"),
        ({"vhost": "nowhere"}, ConfigError, "no virtual host 'nowhere'"),
        ({"tls": True}, ConfigError, "does not speak TLS"),
        ({"ca_file": "/no/such/file", "tls": True}, ConfigError, r"rabbitmq\.ca_file: /no/such/file: No such file"),
        ({"port": 1}, Unreachable, "refused"),
        ({"host": "no-such-host.invalid"}, Unreachable, r"at no-such-host\.invalid"),
    ],
    ids=["password", "vhost", "tls", "ca file", "refused", "host"],
)
def test_what_is_wrong_is_said_and_no_secret(
    broker: Vhost, wrong: dict[str, Any], error: type[Exception], says: str
) -> None:
    async def scenario() -> None:
        with pytest.raises(error, match=says) as raised:
            async with connected(broker, **wrong):
                pass
        assert "wrong-password" not in str(raised.value)

    run(scenario())


def test_a_patient_start_waits_for_nobody_and_says_why_it_is_not_ready(broker: Vhost) -> None:
    async def scenario() -> None:
        mine = Broker(settings_of(broker, port=1), name="test")
        await mine.start()
        assert not mine.ready
        assert "refused" in mine.why_not
        assert await mine.publish([message()]) == [Receipt.UNSENT]
        await mine.close()

    run(scenario())


def test_a_killed_broker_is_used_again_as_soon_as_it_is_back(start_broker: StartBroker) -> None:
    node = start_broker()

    async def scenario() -> None:
        async with connected(node.default) as mine:
            await declare(mine)
            inbox = Inbox()
            mine.consume("q", 5, inbox)
            assert await mine.publish([message(n) for n in range(3)]) == [Receipt.CONFIRMED] * 3
            await until(lambda: len(inbox.got) == 3)
            mine.ack(inbox.got[0])

            node.kill()
            await until(lambda: not mine.ready)
            assert "broke" in mine.why_not or "refused" in mine.why_not
            node.start()
            await asyncio.to_thread(node.ready)
            back = asyncio.get_running_loop().time()
            await mine.until_ready()
            assert asyncio.get_running_loop().time() - back < 5

            assert await mine.publish([message(9)]) == [Receipt.CONFIRMED]
            await until(lambda: "9" in inbox.ids)
            mine.ack(*inbox.got)  # those of the old connection too: they are nobody's
            again = inbox.got[3:]
            assert {each.message_id for each in again} >= {"1", "2", "9"}
            assert all(mine.holds(each) for each in again)
            assert not any(mine.holds(each) for each in inbox.got[:3])

    run(scenario())


def test_during_an_alarm_nothing_is_published_and_consuming_goes_on(start_broker: StartBroker) -> None:
    node = start_broker()

    async def scenario() -> None:
        async with connected(node.default) as mine:
            await declare(mine)
            await mine.publish([message(n) for n in range(10)])
            await asyncio.to_thread(node.alarm, True)
            stuck = await mine.publish([message("stuck")], timeout=1.0)  # it is told with the first message
            assert stuck in ([Receipt.UNKNOWN], [Receipt.UNSENT])
            await until(lambda: not mine.ready)
            assert "takes no messages: low on disk" in mine.why_not
            assert await mine.publish([message("no")]) == [Receipt.UNSENT]

            got: list[Incoming] = []
            mine.consume("q", 1, lambda incoming: (got.append(incoming), mine.ack(incoming))[0])
            await until(lambda: len(got) >= 10)  # with a prefetch of 1 only an acknowledgement brings the next one

            await asyncio.to_thread(node.alarm, False)
            await asyncio.wait_for(mine.until_ready(), SECONDS)
            assert await mine.publish([message("after")]) == [Receipt.CONFIRMED]

    run(scenario())
