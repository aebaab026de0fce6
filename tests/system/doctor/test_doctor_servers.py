"""Broken on real servers: Redis, RabbitMQ, engines. And an engine's clock, which cannot be set."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pika
import pytest

if TYPE_CHECKING:
    from conftest import Installation, RedisServer, SimulatedPortal

    from tools.servers import Vhost

SECRET = "s3cr3t0word"
TASKS, RESPONSES = "camunda.external.tasks", "camunda.task.responses"
MODEL = """<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t"
  xmlns:camunda="http://camunda.org/schema/1.0/bpmn"><process id="p" isExecutable="true"
  camunda:historyTimeToLive="1"><startEvent id="s"/><sequenceFlow id="f" sourceRef="s" targetRef="w"/>
  <serviceTask id="w" camunda:type="external" camunda:topic="weather"/></process></definitions>"""
operaton = pytest.mark.parametrize("engine", ["operaton"], indirect=True)

# ---------------------------------------------------------------------------------------------- Redis


@pytest.mark.parametrize(
    ("change", "says", "fix"),
    [
        pytest.param("REPLICAOF 127.0.0.1 1", "read-only replica", "REPLICAOF NO ONE", id="replica"),
        pytest.param("CONFIG SET maxmemory 500kb", "out of memory", "SET maxmemory", id="full"),
        pytest.param("ACL SETUSER default -info", "'info'", "ACL SETUSER", id="rights"),
        pytest.param("ACL SETUSER default off", "refuses the login", "USER:PASSWORD", id="user"),
    ],
)
def test_a_redis_that_takes_no_tasks_is_named(
    change: str,
    says: str,
    fix: str,
    installation: Installation,
    doctor: Callable[..., Any],
    start_redis: Callable[..., RedisServer],
) -> None:
    redis = start_redis()
    installation.env["REDIS_URL"] = redis.url
    redis.ask(*change.split(" "))

    found = doctor("queue")

    assert found.names(says, fix), found.troubles
    assert found.code == 1


@pytest.mark.parametrize("wanted", ["other", ""])
def test_a_wrong_password_for_redis_is_named(
    wanted: str, installation: Installation, doctor: Callable[..., Any], start_redis: Callable[..., RedisServer]
) -> None:
    redis = start_redis(*(["--requirepass", wanted] if wanted else []))
    installation.env["REDIS_URL"] = redis.url.replace("//", f"//:{SECRET}@")

    found = doctor("queue")

    assert found.names("refuses the login", "USER:PASSWORD"), found.troubles
    assert found.code == 1


def test_another_program_at_the_address_of_redis_is_named(
    installation: Installation, doctor: Callable[..., Any], portal: Callable[..., SimulatedPortal]
) -> None:
    place = portal().webhook.split("/")[2]
    installation.env["REDIS_URL"] = f"redis://{place}/0"

    found = doctor("queue")

    assert found.names(place, ""), found.troubles
    assert found.code == 1


# ---------------------------------------------------------------------------------------------- RabbitMQ


def connect(installation: Installation, broker: Vhost, **more: str) -> None:
    installation.env |= {
        "RABBITMQ_HOST": broker.host,
        "RABBITMQ_PORT": str(broker.port),
        "CAREX_RABBITMQ__VHOST": broker.vhost,
        **more,
    }


@pytest.mark.parametrize(
    ("wrong", "says", "fix"),
    [
        pytest.param({"RABBITMQ_PASSWORD": SECRET}, "refuses the user guest", "RABBITMQ_PASSWORD", id="password"),
        pytest.param({"CAREX_RABBITMQ__VHOST": "nowhere"}, "nowhere", "vhost", id="virtual host"),
        pytest.param({"CAREX_RABBITMQ__TLS": "true"}, "TLS", "", id="TLS"),
        pytest.param({"RABBITMQ_HOST": "nowhere.invalid"}, "nowhere.invalid", "", id="host"),
        pytest.param({"CAREX_RABBITMQ__MANAGEMENT_URL": "http://127.0.0.1:1"}, "127.0.0.1:1", "", id="management"),
    ],
)
def test_a_rabbitmq_that_does_not_let_us_in_is_named(
    wrong: dict[str, str], says: str, fix: str, installation: Installation, doctor: Callable[..., Any], broker: Vhost
) -> None:
    connect(installation, broker, **wrong)

    found = doctor("rabbitmq")

    assert found.names(says, fix), found.troubles


def test_another_program_at_the_address_of_rabbitmq_is_named(
    installation: Installation, doctor: Callable[..., Any], shared_redis: RedisServer
) -> None:
    installation.env["RABBITMQ_PORT"] = str(shared_redis.port)

    found = doctor("rabbitmq")

    assert found.names(str(shared_redis.port), ""), found.troubles
    assert found.code == 1


@pytest.fixture
def channel(broker: Vhost) -> Iterator[Any]:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        yield connection.channel()


def declare(channel: Any, *, kind: str = "topic") -> None:
    for exchange in (TASKS, RESPONSES):
        channel.exchange_declare(exchange, kind, durable=True)
    channel.queue_declare("camunda.responses.queue", durable=True)
    channel.queue_declare("camunda.responses.dead", durable=True)
    channel.queue_bind("camunda.responses.queue", RESPONSES, "#")


def test_an_exchange_that_is_not_durable_is_named(
    installation: Installation, doctor: Callable[..., Any], broker: Vhost, channel: Any
) -> None:
    connect(installation, broker)
    channel.exchange_declare(TASKS, "topic", durable=False)

    assert doctor("rabbitmq").names(f"{TASKS}: durable is", "")


def test_a_topology_that_nobody_may_declare_and_that_is_not_there_is_named(
    installation: Installation, doctor: Callable[..., Any], broker: Vhost
) -> None:
    connect(installation, broker, CAREX_RABBITMQ__DECLARE="false")

    found = doctor("rabbitmq")

    assert found.names("missing: ", "rabbitmq.declare = true"), found.troubles
    assert found.code == 1


def test_answers_that_nobody_could_use_and_those_that_nobody_takes_are_named(
    installation: Installation, doctor: Callable[..., Any], broker: Vhost, channel: Any
) -> None:
    connect(installation, broker, CAMUNDA_BASE_URL="http://127.0.0.1:1/engine-rest")
    declare(channel)
    channel.basic_publish("", "camunda.responses.dead", b"?")
    channel.basic_publish("", "camunda.responses.queue", b"{}")

    found = doctor("rabbitmq")

    assert found.names("camunda.responses.dead has 1 answers", "purge"), found.troubles
    assert found.names("camunda.responses.queue has 1 messages, and nobody reads it", "carex camunda bridge")
    assert found.code == 1


# ---------------------------------------------------------------------------------------------- engines


@operaton
@pytest.mark.parametrize(
    ("place", "says", "fix"), [("/nothing", "404", "CAMUNDA_BASE_URL"), ("", "404", "CAMUNDA_BASE_URL")]
)
def test_a_wrong_path_to_an_engine_is_named(
    place: str, says: str, fix: str, engine: Any, installation: Installation, doctor: Callable[..., Any]
) -> None:
    root = "/".join(engine.url.split("/")[:3])
    installation.env["CAMUNDA_BASE_URL"] = root + place

    found = doctor("camunda")

    assert found.names(says, fix), found.troubles
    assert found.code == 1


def test_another_program_at_the_address_of_the_engine_is_named(
    installation: Installation, doctor: Callable[..., Any]
) -> None:
    _, address = installation.serve()
    installation.env["CAMUNDA_BASE_URL"] = f"{address}/engine-rest"

    found = doctor("camunda")

    assert found.names(address, "CAMUNDA_BASE_URL"), found.troubles
    assert found.code == 1


def test_an_engine_that_refuses_the_password_is_named(
    installation: Installation, doctor: Callable[..., Any], start_engine: Callable[..., Any]
) -> None:
    installation.env["CAMUNDA_BASE_URL"] = start_engine("operaton", auth=True).url
    nameless = doctor("camunda")
    installation.env |= {"CAMUNDA_AUTH_USERNAME": "demo", "CAMUNDA_AUTH_PASSWORD": SECRET}

    found = doctor("camunda")

    assert nameless.names("401", "CAMUNDA_AUTH_USERNAME"), nameless.troubles
    assert found.names("401", "CAMUNDA_AUTH_USERNAME"), found.troubles
    assert (nameless.code, found.code) == (1, 1)


@operaton
def test_incidents_and_topics_that_no_route_knows_are_named(
    clean_engine: Any, installation: Installation, doctor: Callable[..., Any]
) -> None:
    clean_engine.deploy(MODEL)
    clean_engine.call("POST", "/process-definition/key/p/start", {})
    topics = [{"topicName": "weather", "lockDuration": 9000}]
    (task,) = clean_engine.call(
        "POST", "/external-task/fetchAndLock", {"workerId": "w", "maxTasks": 1, "topics": topics}
    )
    clean_engine.call("POST", f"/external-task/{task['id']}/failure", {"workerId": "w", "retries": 0})
    installation.env["CAMUNDA_BASE_URL"] = clean_engine.url

    found = doctor("camunda")

    assert found.names("1 external tasks have no retries left", "carex camunda retries"), found.troubles
    assert found.names("no route knows go to default.queue: weather", "rabbitmq.routes"), found.troubles
    assert found.code == 0


class Late(http.server.BaseHTTPRequestHandler):
    """What an engine answers whose clock stands still, behind a proxy that holds no request."""

    def do_GET(self) -> None:
        self._say({"version": "7.24.0"} if self.path.endswith("/version") else [])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say({"count": 0} if "/count" in self.path else [])

    def _say(self, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response_only(200)
        self.send_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_an_engine_with_a_wrong_clock_and_without_long_polls_is_named(
    installation: Installation, doctor: Callable[..., Any]
) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Late)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    installation.env["CAMUNDA_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/engine-rest"
    try:
        found = doctor("camunda")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert found.names("its clock is", "timedatectl"), found.troubles
    assert found.names("does not hold fetches", "proxy"), found.troubles
