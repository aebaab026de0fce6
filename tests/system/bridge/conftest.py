"""A bridge in a process of its own, between a real engine and a real RabbitMQ, and somebody to answer at the queues."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pika
import pytest

from tests.system.conftest import Installation, until

if TYPE_CHECKING:
    from tools.servers import Broker, Engine, Vhost

TASKS, RESPONSES = "camunda.external.tasks", "camunda.task.responses"
RESPONSES_QUEUE, DEAD = "camunda.responses.queue", "camunda.responses.dead"
BPMN = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
             xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="carex">
  <process id="{key}" isExecutable="true" camunda:historyTimeToLive="P1D">
    <startEvent id="start"/><sequenceFlow id="f0" sourceRef="start" targetRef="{first}"/>{tasks}<endEvent id="end"/>
  </process>
  <error id="known" errorCode="no_stock"/>
</definitions>"""
TASK = """
    <serviceTask id="{id}" camunda:type="external" camunda:topic="{topic}" camunda:taskPriority="{priority}">
      <extensionElements><camunda:properties>{properties}</camunda:properties></extensionElements></serviceTask>
    <boundaryEvent id="{id}_error" attachedToRef="{id}"><errorEventDefinition errorRef="known"/></boundaryEvent>
    <sequenceFlow id="{id}_caught" sourceRef="{id}_error" targetRef="{id}_end"/><endEvent id="{id}_end"/>
    <sequenceFlow id="{id}_next" sourceRef="{id}" targetRef="{next}"/>"""


def bpmn(key: str, *topics: str, queue: str = "", priority: int = 0) -> str:
    """A process with one external task after the other; each catches the error no_stock."""
    ids = [f"task{number}" for number in range(len(topics))]
    properties = f'<camunda:property name="queue" value="{queue}"/>' if queue else ""
    tasks = [
        TASK.format(id=each, topic=topic, next=after, properties=properties, priority=priority)
        for each, topic, after in zip(ids, topics, [*ids[1:], "end"], strict=True)
    ]
    return BPMN.format(key=key, first=ids[0], tasks="".join(tasks))


@dataclass
class Letter:
    """A message that was taken from a queue."""

    body: dict[str, Any]
    raw: bytes
    properties: Any
    routing_key: str

    @property
    def task_id(self) -> str:
        return str(self.body["task_id"])


class Mailbox:
    """Whoever is at the other end of RabbitMQ, with another library's blocking connection."""

    def __init__(self, vhost: Vhost) -> None:
        credentials = pika.PlainCredentials(vhost.username, vhost.password)
        self.parameters = pika.ConnectionParameters(
            vhost.host, vhost.port, vhost.vhost, credentials, heartbeat=0, blocked_connection_timeout=30
        )
        self.connection = pika.BlockingConnection(self.parameters)
        self.channel = self.connection.channel()

    def take(self, queue: str, seconds: float = 20.0) -> Letter:
        """The next message of a queue, acknowledged."""
        found = self.maybe(queue, seconds)
        assert found is not None, f"nothing in {queue} within {seconds:g} s"
        return found

    def maybe(self, queue: str, seconds: float) -> Letter | None:
        """The next message of a queue, or None if none comes within the time."""
        end = time.monotonic() + seconds
        while True:
            try:
                method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            except pika.exceptions.ChannelClosedByBroker:  # the bridge has yet to declare it
                method, self.channel = None, self.connection.channel()
            if method is not None:
                text = body.decode(errors="replace")
                return Letter(json.loads(text) if text[:1] == "{" else {}, body, properties, method.routing_key)
            if time.monotonic() > end:
                return None
            self.connection.sleep(0.02)

    def send(self, body: bytes | Mapping[str, Any], **properties: Any) -> None:
        """Publish a response."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        made = pika.BasicProperties(delivery_mode=2, **properties)
        self.channel.basic_publish(RESPONSES, "any", content, made)

    def answer(self, letter: Letter, response_type: str = "complete", **more: Any) -> None:
        head = {"task_id": letter.task_id, "worker_id": letter.body["worker_id"]}
        self.send({**head, "response_type": response_type, **more})


class Echo:
    """Answers `complete` to every task of some queues, once; remembers which came how often."""

    def __init__(self, vhost: Vhost, *queues: str) -> None:
        self.seen: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._vhost, self._queues = vhost, queues
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._answer_all()
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.1)  # RabbitMQ is away

    def _answer_all(self) -> None:
        mailbox = Mailbox(self._vhost)
        for queue in self._queues:
            mailbox.channel.queue_declare(queue, durable=True)
        mailbox.channel.confirm_delivery()
        mailbox.channel.basic_qos(prefetch_count=50)

        def on(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            letter = Letter(json.loads(body), body, properties, method.routing_key)
            self.seen[letter.task_id] += 1
            mailbox.answer(letter)
            channel.basic_ack(method.delivery_tag)

        for queue in self._queues:
            mailbox.channel.basic_consume(queue, on)
        while not self._stopping.is_set():
            mailbox.connection.process_data_events(0.1)
        mailbox.connection.close()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)


@dataclass
class Rig:
    """An engine, a RabbitMQ, and the Carex home of bridges between them."""

    installation: Installation
    engine: Engine
    vhost: Vhost
    echoes: list[Echo] = field(default_factory=list)
    mailboxes: list[Mailbox] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.installation.env.update(
            CAMUNDA_BASE_URL=self.engine.url,
            CAMUNDA_AUTH_USERNAME=self.engine.username,
            CAMUNDA_AUTH_PASSWORD=self.engine.password,
            RABBITMQ_HOST=self.vhost.host,
            RABBITMQ_PORT=str(self.vhost.port),
            RABBITMQ_USERNAME=self.vhost.username,
            RABBITMQ_PASSWORD=self.vhost.password,
            CAREX_RABBITMQ__VHOST=self.vhost.vhost,
            CAREX_CAMUNDA__LONG_POLL="1",
        )
        if not self.engine.username:
            del self.installation.env["CAMUNDA_AUTH_USERNAME"], self.installation.env["CAMUNDA_AUTH_PASSWORD"]

    def bridge(self, *args: str) -> subprocess.Popen[str]:
        """A bridge that has come up."""
        process: subprocess.Popen[str] = self.installation.start("camunda", "bridge", *args)
        self.until(lambda: "RabbitMQ was checked" in self.installation.said(process), what="the bridge's start")
        return process

    def mailbox(self) -> Mailbox:
        self.mailboxes.append(mailbox := Mailbox(self.vhost))
        return mailbox

    def echo(self, *queues: str) -> Echo:
        self.echoes.append(echo := Echo(self.vhost, *queues))
        return echo

    def deploy(self, key: str, *topics: str, queue: str = "", priority: int = 0) -> None:
        self.engine.deploy(bpmn(key, *topics, queue=queue, priority=priority), key)

    def start(self, key: str, times: int = 1, variables: Mapping[str, Any] | None = None) -> list[str]:
        """Start instances; their ids."""
        body = {"variables": variables or {}, "businessKey": "7"}
        return [self.engine.call("POST", f"/process-definition/key/{key}/start", body)["id"] for _ in range(times)]

    def task(self, instance: str) -> dict[str, Any]:
        """The one external task that an instance waits at."""
        (found,) = self.engine.call("GET", f"/external-task?processInstanceId={instance}")
        return dict(found)

    def states(self, key: str) -> Counter[str]:
        """How many instances, running and ended, are in which state."""
        found = self.engine.call("GET", f"/history/process-instance?processDefinitionKey={key}&maxResults=10000")
        return Counter(each["state"] for each in found)

    def state(self, instance: str) -> str:
        return str(self.engine.call("GET", f"/history/process-instance/{instance}")["state"])

    def ended_at(self, instance: str) -> str:
        """The activity at which an instance ended."""
        path = f"/history/activity-instance?processInstanceId={instance}&activityType=noneEndEvent"
        (found,) = self.engine.call("GET", path)
        return str(found["activityId"])

    def incidents(self, instance: str) -> list[str]:
        found = self.engine.call("GET", f"/incident?processInstanceId={instance}")
        return [each["incidentMessage"] for each in found]

    def variables(self, instance: str) -> dict[str, Any]:
        found = self.engine.call(
            "GET", f"/history/variable-instance?processInstanceId={instance}&deserializeValues=false"
        )
        return {each["name"]: (each["type"], each["value"]) for each in found}

    def until(self, condition: Callable[[], Any], seconds: float = 20.0, what: str = "the condition") -> Any:
        return until(condition, seconds, what)

    def close(self) -> None:
        for echo in self.echoes:
            echo.stop()
        for process in self.installation.started:
            process.terminate()  # a killed one's long poll would lock the first task of the next test
        for process in self.installation.started:
            process.wait(15)


@pytest.fixture
def make_rig(installation: Installation) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(engine: Engine, vhost: Vhost) -> Rig:
        made.append(rig := Rig(installation, engine, vhost))
        return rig

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig], clean_engine: Engine, broker: Vhost) -> Rig:
    """On each engine, with a virtual host of its own."""
    return make_rig(clean_engine, broker)


@pytest.fixture(scope="module")
def running(engine: Engine, shared_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """On each engine, one bridge for all tests that do it no harm."""
    engine.empty()
    vhost = shared_broker.vhost(f"bridge-{uuid.uuid4().hex[:12]}")
    rig = Rig(Installation(tmp_path_factory.mktemp("bridge")), engine, vhost)
    rig.bridge()
    yield rig
    rig.close()
    shared_broker.remove(vhost)


@pytest.fixture
def free_port() -> int:
    from tools.servers.process import free_port

    return free_port()
