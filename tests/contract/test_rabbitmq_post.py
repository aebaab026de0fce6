"""The intake and the outbox, between a real RabbitMQ and a real queue, when something is missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from carex.errors import Unreachable
from carex.queue import SENDING, Answer, Delivery, Filter
from carex.queue.sqlite import SqliteQueue
from carex.rabbitmq.connection import Broker, Incoming, Outgoing, Receipt
from carex.rabbitmq.intake import Intake
from carex.rabbitmq.outbox import Outbox
from carex.rabbitmq.topology import check
from carex.settings import RabbitMQSettings
from carex.task import Done, Fail, Outcome, Task

if TYPE_CHECKING:
    from tools.servers import Vhost

RESPONSES = RabbitMQSettings().responses_queue


class House:
    """One process: connected to RabbitMQ, with a queue whose clock goes as it is told."""

    def __init__(self, vhost: Vhost, folder: Path) -> None:
        self.settings = RabbitMQSettings(
            host=vhost.host,
            port=vhost.port,
            username=vhost.username,
            password=SecretStr(vhost.password),
            vhost=vhost.vhost,
            consume=("zoo.queue",),
        )
        self.now = 1_800_000_000.0
        self.queue = Flaky(folder / "queue.db", clock=lambda: self.now)
        self.broker = Broker(self.settings, name="test")
        self.outbox = Outbox(self.broker, self.queue, self.settings)
        self.room = 10
        self.refusal: Outcome | None = None
        self.got: list[Incoming] = []
        self.intake = Intake(
            self.broker,
            self.queue,
            self.outbox,
            self.settings,
            prefetch=10,
            room=lambda: self.room,
            to_task=lambda incoming: Task("zoo", json.loads(incoming.body), key=incoming.message_id, reply={}),
            refusal=lambda type: self.refusal,
            answer=lambda delivery, outcome, attempts: repr(outcome),
        )

    def take(self, incoming: Incoming) -> None:
        self.got.append(incoming)
        self.broker.ack(incoming)

    async def answers(self, number: int) -> list[str]:
        """Wait for so many answers and return their bodies."""
        await until(lambda: len(self.got) >= number)
        return [each.body.decode() for each in self.got]

    async def give(self, body: bytes, id: str = "1") -> Receipt:
        (receipt,) = await self.broker.publish([Outgoing("", "zoo.queue", body, id, "zoo")])
        return receipt

    async def remove(self, queue: str) -> None:
        await self.broker.ask(lambda channel, answer: channel.queue_delete(queue, callback=answer))

    async def ready(self, queue: str) -> int:
        def ask(channel: Any, answer: Callable[[Any], None]) -> None:
            channel.queue_declare(queue, passive=True, callback=answer)

        return int((await self.broker.ask(ask)).method.message_count)


class Flaky(SqliteQueue):
    """A queue whose storage can be away."""

    away = False
    refused = 0

    async def put(self, tasks: Any) -> Any:
        if self.away:
            self.refused += 1
            raise Unreachable("the disk is full.")
        return await super().put(tasks)


async def until(condition: Callable[[], object]) -> None:
    end = asyncio.get_running_loop().time() + 20
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not come true"
        await asyncio.sleep(0.01)


def in_house(vhost: Vhost, folder: Path, scenario: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        house = House(vhost, folder)
        await house.broker.start(patient=False)
        await check(house.broker, house.settings, ["zoo"])
        house.broker.consume(RESPONSES, 100, house.take)
        tasks = [asyncio.create_task(house.outbox.run()), asyncio.create_task(house.intake.run())]
        try:
            await asyncio.wait_for(scenario(house), 60)
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await house.broker.close()
            await house.queue.close()

    asyncio.run(run())


async def finish(house: House, *, post: bool = True) -> list[Answer]:
    """Claim what was taken in, end it, and post the answers as a worker does; or die before that."""
    deliveries: list[Delivery] = []
    while not deliveries:
        deliveries = await house.queue.claim(["*"], 10, 1.0)
    house.intake.moved()
    outcomes: list[tuple[Delivery, Outcome]] = [(each, Done()) for each in deliveries]
    await house.queue.settle(outcomes, answers={each.task.id: "done" for each in deliveries})
    answers = [Answer.to(each, "done") for each in deliveries]
    if post:
        house.outbox.post(answers)
    return answers


def test_an_answer_that_its_worker_could_not_send_is_sent_by_another(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.give(b"{}")
        await finish(house, post=False)
        house.now += SENDING
        assert await house.answers(1) == ["done"]

    in_house(broker, tmp_path, scenario)


def test_a_sent_answer_is_not_sent_again(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.give(b"{}")
        await finish(house)
        await house.answers(1)
        await house.outbox.flush()
        house.now += SENDING
        assert await house.queue.answers(10) == []

    in_house(broker, tmp_path, scenario)


def test_a_deleted_answers_queue_is_made_again_and_the_answer_arrives(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.give(b"{}")
        await house.remove(RESPONSES)
        await finish(house)
        assert await house.answers(1) == ["done"]

    in_house(broker, tmp_path, scenario)


def test_while_the_storage_is_away_tasks_stay_in_rabbitmq_and_come_in_later(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.queue.away = True
        await house.give(b"{}")
        await until(lambda: house.queue.refused)
        house.queue.away = False
        (answer,) = await finish(house)
        assert await house.answers(1) == [answer.body]

    in_house(broker, tmp_path, scenario)


def test_a_task_that_is_not_stored_is_still_in_rabbitmq_when_its_process_dies(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.queue.away = True
        await house.give(b"{}")
        await until(lambda: house.queue.refused)
        await house.broker.close()
        house.broker = Broker(house.settings, name="another")
        await house.broker.start(patient=False)
        assert await house.ready("zoo.queue") == 1

    in_house(broker, tmp_path, scenario)


def test_what_is_dead_waits_for_a_queue_of_the_dead_and_others_pass(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.remove(house.settings.dead_queue)
        await house.give(b"{", "bad")
        await house.give(b"{}", "good")
        await finish(house)
        assert await house.answers(1) == ["done"]
        assert house.intake.dead == 0
        await check(house.broker, house.settings, [])
        await until(lambda: house.intake.dead)
        assert await house.ready(house.settings.dead_queue) == 1

    in_house(broker, tmp_path, scenario)


def test_a_type_that_nobody_runs_is_answered_at_once_and_not_stored(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.refusal = Fail("no handler")
        await house.give(b"{}")
        assert await house.answers(1) == [repr(Fail("no handler"))]
        assert await house.queue.tasks(Filter()) == []

    in_house(broker, tmp_path, scenario)


def test_nothing_is_taken_in_without_room_and_all_of_it_when_there_is(broker: Vhost, tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.room = 0
        for number in range(5):
            await house.give(b"{}", str(number))
        while await house.ready("zoo.queue"):
            pass  # each look is a round trip
        assert await house.queue.tasks(Filter()) == []
        house.room = 3
        house.intake.moved()
        assert len(await finish(house)) == 3
        assert len(await finish(house)) == 2

    in_house(broker, tmp_path, scenario)
