"""`carex worker --consume`: tasks come in from RabbitMQ, answers go back, whoever dies in between."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from carex.task import Task

if TYPE_CHECKING:
    from conftest import Installation

    from tools.servers import Broker, Vhost

Eventually = Callable[..., Any]
QUEUE, ANSWERS, DEAD = "zoo.queue", "camunda.responses.queue", "camunda.responses.dead"


class Engine:
    """The other side: it hands out tasks and reads the answers, in RabbitMQ's own words."""

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel
        channel.confirm_delivery()
        for queue in (QUEUE, ANSWERS, DEAD):
            channel.queue_declare(queue, durable=True)
        self.answers: dict[str, list[dict[str, Any]]] = {}

    def give(self, *ids: str, type: str = "zoo_tame", retries: int | None = None, **variables: Any) -> None:
        for id in ids:
            values = {name: {"value": value, "type": "Object"} for name, value in variables.items()}
            self.say({"task_id": id, "topic": type, "worker_id": "w", "retries": retries, "variables": values})

    def say(self, body: Any) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._channel.basic_publish("", QUEUE, text, pika.BasicProperties(delivery_mode=2, reply_to=ANSWERS))

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """All answers so far, by the id of their task."""
        for body, _ in self._drain(ANSWERS):
            answer = json.loads(body)
            self.answers.setdefault(answer.pop("task_id"), []).append(answer)
        return self.answers

    def dead(self) -> list[tuple[bytes, str]]:
        return [(body, headers["x-carex-reason"]) for body, headers in self._drain(DEAD)]

    def waiting(self) -> int:
        """Tasks that nobody has taken."""
        return int(self._channel.queue_declare(QUEUE, passive=True).method.message_count)

    def _drain(self, queue: str) -> Iterator[tuple[bytes, Any]]:
        while True:
            method, properties, body = self._channel.basic_get(queue, auto_ack=True)
            if method is None:
                return
            yield body, properties.headers


@contextmanager
def engine_at(vhost: Vhost) -> Iterator[Engine]:
    connection = pika.BlockingConnection(pika.URLParameters(vhost.url))
    try:
        yield Engine(connection.channel())
    finally:
        with suppress(AMQPError):  # the test has killed the broker
            connection.close()


@pytest.fixture
def engine(broker: Vhost) -> Iterator[Engine]:
    with engine_at(broker) as opened:
        yield opened


@pytest.fixture
def zoo(installation: Installation, broker: Vhost) -> Installation:
    return at(installation, broker)


def at(installation: Installation, vhost: Vhost) -> Installation:
    installation.env |= {
        "RABBITMQ_HOST": vhost.host,
        "RABBITMQ_PORT": str(vhost.port),
        "CAREX_RABBITMQ__VHOST": vhost.vhost,
        "CAREX_RABBITMQ__MANAGEMENT_URL": vhost.management_url,
    }
    return installation


def test_each_outcome_is_answered_as_the_engine_expects(
    zoo: Installation, engine: Engine, eventually: Eventually
) -> None:
    zoo.worker("--consume", QUEUE)
    engine.give("done", n=5)
    engine.give("error", type="zoo_erring")
    engine.give("first-failure", type="zoo_raising")  # has two attempts
    engine.give("later-failure", type="zoo_raising", retries=1)
    engine.give("wait", type="zoo_waiting", retries=3)
    engine.give("new-wait", type="zoo_waiting")
    engine.give("fail", type="zoo_failing", retries=3)
    engine.give("nobody", type="nobody", retries=3)
    eventually(lambda: len(engine.read()) == 8, what="an answer for each")
    got = {id: answer for id, (answer,) in engine.answers.items()}

    assert got["done"]["variables"] == {"n": {"value": 5, "type": "Integer"}}
    assert (got["error"]["response_type"], got["error"]["error_code"]) == ("bpmn_error", "NO_FODDER")
    assert got["error"]["variables"] == {"amount": {"value": 7, "type": "Integer"}}
    assert {id: got[id]["retries"] for id in got if got[id]["response_type"] == "failure"} == {
        "first-failure": 1,
        "later-failure": 0,
        "wait": 3,
        "new-wait": 8,
        "fail": 0,
        "nobody": 3,  # a plugin of this installation is broken: the handler may be in it
    }
    assert "it bites" in got["first-failure"]["error_message"]
    assert got["wait"]["retry_timeout"] == 60_000
    assert {answer["worker_id"] for answer in got.values()} == {"w"}
    assert [entry.task.key for entry in zoo.entries("failed")] == ["fail"]


def test_what_is_no_task_goes_to_the_dead_with_its_reason_and_holds_nobody_up(
    zoo: Installation, engine: Engine, eventually: Eventually
) -> None:
    zoo.worker("--consume", QUEUE)
    bad = [b"{", b"[]", b'{"task_id": 5, "topic": "zoo_tame"}', b"\xff\x00", b'{"task_id": "x"}'] * 20
    for number, body in enumerate(bad):
        engine.say(body)
        engine.give(f"good-{number}")
    eventually(lambda: len(engine.read()) == 100)
    dead: list[tuple[bytes, str]] = []
    eventually(lambda: dead.extend(engine.dead()) or len(dead) == 100)
    assert sorted(body for body, _ in dead) == sorted(bad)
    assert all(reason for _, reason in dead)


def test_the_same_message_is_the_same_work_and_after_its_end_is_answered_once_more(
    zoo: Installation, engine: Engine, eventually: Eventually
) -> None:
    trace = zoo.home / "trace"
    zoo.worker("--consume", QUEUE)
    engine.give("a", "a", n=3, seconds=0.5, trace=str(trace))
    eventually(lambda: engine.read().get("a"))
    engine.give("a", n=3, trace=str(trace))
    eventually(lambda: len(engine.read()["a"]) >= 2)
    assert len(trace.read_text().splitlines()) == 1
    assert {json.dumps(answer) for answer in engine.answers["a"]} == {json.dumps(engine.answers["a"][0])}


def test_after_a_failure_the_same_id_is_a_new_attempt(
    zoo: Installation, engine: Engine, eventually: Eventually
) -> None:
    zoo.worker("--consume", QUEUE)
    engine.give("a", type="zoo_raising")
    eventually(lambda: engine.read())
    engine.give("a", type="zoo_raising", retries=1)
    eventually(lambda: len(engine.read()["a"]) == 2)
    assert [answer["retries"] for answer in engine.answers["a"]] == [1, 0]


def test_the_backlog_stays_in_rabbitmq(zoo: Installation, engine: Engine, eventually: Eventually) -> None:
    zoo.worker("--consume", QUEUE, "--concurrency", "2")
    engine.give(*(f"t{n}" for n in range(10)), seconds=30.0)
    eventually(lambda: len(zoo.entries()) == 2 and engine.waiting() == 8, what="two taken, eight left, none held")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_killed_worker_costs_no_answer(
    zoo: Installation, engine: Engine, eventually: Eventually, processes: str
) -> None:
    worker = zoo.worker("--consume", QUEUE)
    ids = [f"t{n}" for n in range(300)]
    engine.give(*ids, seconds=0.05)
    eventually(lambda: len(engine.read()) > 20)
    worker.kill()
    zoo.start("worker", "--consume", QUEUE, "--processes", processes)
    eventually(lambda: set(engine.read()) == set(ids), 40, what="all answers")
    assert {answer["response_type"] for answers in engine.answers.values() for answer in answers} == {"complete"}


def test_a_stopped_worker_has_sent_its_answers_and_gives_back_the_rest(
    zoo: Installation, engine: Engine, eventually: Eventually
) -> None:
    worker = zoo.worker("--consume", QUEUE, "--concurrency", "5")
    engine.give(*(f"t{n}" for n in range(20)), seconds=0.3)
    eventually(lambda: engine.read())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    done = {str(entry.task.key) for entry in zoo.entries("done")}
    assert done == set(engine.read())
    assert len(done) + len(zoo.entries("waiting")) + engine.waiting() >= 20


def test_a_killed_broker_costs_no_answer(
    installation: Installation, start_broker: Callable[[], Broker], eventually: Eventually
) -> None:
    node = start_broker()
    zoo = at(installation, node.default)
    ids = [f"t{n}" for n in range(60)]
    with engine_at(node.default) as engine:
        zoo.worker("--consume", QUEUE, "--concurrency", "5")
        engine.give(*ids, seconds=0.1)
        eventually(lambda: len(engine.read()) > 10)
        node.kill()
    before = engine.answers
    node.start()
    node.ready()
    with engine_at(node.default) as engine:
        eventually(lambda: {*before, *engine.read()} == set(ids), 40, what="all answers")


def test_whoever_runs_a_task_answers_for_it(zoo: Installation, engine: Engine, eventually: Eventually) -> None:
    zoo.worker()  # consumes nothing
    zoo.put(Task("zoo_tame", {"n": 4}, reply={"task_id": "a", "worker_id": "w", "retries": None, "reply_to": ANSWERS}))
    eventually(lambda: engine.read())
    assert engine.answers["a"][0]["variables"] == {"n": {"value": 4, "type": "Integer"}}


def test_queues_shows_what_waits_and_what_is_missing(zoo: Installation, engine: Engine) -> None:
    engine.give("a", "b")
    zoo.env["CAREX_RABBITMQ__CONSUME"] = QUEUE
    shown = zoo.ask("queues")
    sizes = {queue["name"]: queue["messages"] for queue in shown["queues"]}
    assert (sizes[QUEUE], sizes[ANSWERS], sizes["1c.queue"]) == (2, 0, None)
    assert {each["name"] for each in shown["differences"]} >= {"1c.queue", "camunda.external.tasks"}
    assert "queue 1c.queue is missing" in zoo.run("queues").stderr


@pytest.mark.parametrize("command", [["queues"], ["worker", "--consume", QUEUE]], ids=["queues", "worker"])
def test_a_wrong_password_ends_the_command_with_the_code_for_settings(zoo: Installation, command: list[str]) -> None:
    zoo.env["RABBITMQ_PASSWORD"] = "canary-secret"
    ended = zoo.run(*command)
    assert ended.returncode == 3
    assert "refuses the user guest" in ended.stderr
    assert "canary" not in ended.stderr


def test_an_absent_broker_ends_queues_and_says_where_it_was_looked_for(installation: Installation) -> None:
    installation.env |= {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": "1"}
    ended = installation.run("queues")
    assert ended.returncode == 6
    assert "RabbitMQ at 127.0.0.1:1: Connection refused" in ended.stderr


def test_a_burst_of_a_queue_without_end_is_refused(installation: Installation) -> None:
    ended = installation.run("worker", "--burst", "--consume", QUEUE)
    assert ended.returncode == 2
