"""Task messages as nobody should send them, among good ones: each is answered or set aside, and no good one is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.system.conftest import Installation

QUEUE, ANSWERS, DEAD = "zoo.queue", "camunda.responses.queue", "camunda.responses.dead"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def message(**fields: Any) -> bytes:
    return json.dumps({"task_id": "bad-ID", "topic": "zoo_tame", "variables": {}, **fields}).encode()


bad = st.one_of(
    st.binary(max_size=100),
    values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"[" * 20_000, b'{"task_id": NaN}', message() + b"}", message()[:-1], message().decode().encode("utf-16")]
    ),
    (values | st.text("/.% ")).map(lambda id: message(task_id=id)),
    values.map(lambda topic: message(topic=topic)),
    st.text(min_size=1, max_size=20).map(lambda topic: message(topic=f"no {topic}")),
    values.filter(lambda given: given not in (None, {}, [], "", 0, False)).map(lambda given: message(variables=given)),
    values.map(lambda value: message(variables={"n": {"value": [value]}})),
    values.map(lambda value: message(variables={"n": value, "seconds": {"value": "long", "type": value}})),
    values.filter(lambda value: value is not None).map(
        lambda value: message(retries=value, variables={"n": {"value": "x"}})
    ),
    values.map(lambda value: message(worker_id=value, variables={"n": {"value": "x"}})),
)


@pytest.mark.parametrize("examples", [400, pytest.param(5000, marks=pytest.mark.chaos)])
def test_every_message_is_worked_on_answered_or_set_aside(
    installation: Installation, broker: Any, eventually: Callable[..., Any], examples: int
) -> None:
    installation.env |= {
        "RABBITMQ_HOST": broker.host,
        "RABBITMQ_PORT": str(broker.port),
        "CAREX_RABBITMQ__VHOST": broker.vhost,
    }
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    for queue in (QUEUE, ANSWERS, DEAD):
        channel.queue_declare(queue, durable=True)
    worker = installation.worker("--consume", QUEUE)
    sent: list[bytes] = []

    def say(body: bytes) -> None:
        channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2, reply_to=ANSWERS))

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(bad)
    def bombard(body: bytes) -> None:
        body = body.replace(b"bad-ID", f"bad-{len(sent)}".encode())
        say(body)
        sent.append(body)
        if len(sent) % 5 == 0:
            say(json.dumps({"task_id": f"good-{len(sent)}", "topic": "zoo_tame"}).encode())

    bombard()
    good = {f"good-{number}" for number in range(5, len(sent) + 1, 5)}
    answers: dict[str, dict[str, Any]] = {}
    dead: list[bytes] = []

    def collect() -> bool:
        while (got := channel.basic_get(ANSWERS, auto_ack=True))[0]:
            answer = json.loads(got[2])
            answers[answer["task_id"]] = answer
        while (got := channel.basic_get(DEAD, auto_ack=True))[0]:
            assert got[1].headers["x-carex-reason"]
            dead.append(got[2])
        return len(answers) + len(dead) >= len(sent) + len(good)

    eventually(collect, 30 + examples / 40, "an answer or a reason for each")
    connection.close()
    assert {id for id in answers if id.startswith("good-")} == good
    assert {answers[id]["response_type"] for id in good} == {"complete"}
    assert len(dead) > examples / 4
    assert len(answers) - len(good) > examples / 10
    assert worker.poll() is None
    assert "Traceback" not in installation.said(worker)
