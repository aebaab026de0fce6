"""The old Camunda worker's RabbitMQ is looked at and left as it is; what waits in it is done by Carex."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest

from tests.system.conftest import Installation, until

if TYPE_CHECKING:
    from tools.servers import Vhost

TASKS, RESPONSES, ALTERNATE = "camunda.external.tasks", "camunda.task.responses", "camunda.unrouted.tasks"
ANSWERS, ERRORS = "camunda.responses.queue", "errors.camunda_tasks.queue"
BINDINGS = {
    "bitrix24.queue": ["bitrix24.*"],
    "openproject.queue": ["openproject.*"],
    "1c.queue": ["1c.*"],
    "python-services.queue": ["python.*", "email.*"],
}
CONFIG = """
class RoutingConfig:
    TOPIC_TO_SYSTEM_MAPPING = {"bitrix_create_task": "bitrix24", "send_telegram": "python-services"}
"""


@contextmanager
def channel_to(vhost: Vhost) -> Iterator[Any]:
    credentials = pika.PlainCredentials(vhost.username, vhost.password)
    connection = pika.BlockingConnection(pika.ConnectionParameters(vhost.host, vhost.port, vhost.vhost, credentials))
    yield connection.channel()
    connection.close()


@pytest.fixture
def old(broker: Vhost, tmp_path: Path) -> Path:
    """A checkout and a RabbitMQ, as the old worker's later versions set them up."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / ".env").write_text(
        f"CAMUNDA_BASE_URL=http://localhost:1/engine-rest\nCAMUNDA_WORKER_ID=old-worker\nCAMUNDA_AUTH_PASSWORD=hidden-one\n"
        f"RABBITMQ_HOST={broker.host}\nRABBITMQ_PORT={broker.port}\nRABBITMQ_USERNAME={broker.username}\n"
        f"RABBITMQ_PASSWORD={broker.password}\nRABBITMQ_VIRTUAL_HOST={broker.vhost}\n"
    )
    (folder / "config.py").write_text(CONFIG)
    (folder / "camunda-worker.service").write_text("[Unit]\n")
    with channel_to(broker) as channel:
        channel.exchange_declare(ALTERNATE, "fanout", durable=True)
        channel.exchange_declare(TASKS, "topic", durable=True, arguments={"alternate-exchange": ALTERNATE})
        channel.exchange_declare(RESPONSES, "direct", durable=True)
        for queue, keys in BINDINGS.items():
            channel.queue_declare(queue, durable=True)
            for key in keys:
                channel.queue_bind(queue, TASKS, key)
        channel.queue_declare("default.queue", durable=True)
        channel.queue_bind("default.queue", ALTERNATE, "")
        channel.queue_declare(ANSWERS, durable=True)
        channel.queue_bind(ANSWERS, RESPONSES, ANSWERS)
        channel.queue_declare(ERRORS, durable=True)
        channel.queue_bind(ERRORS, TASKS, "errors.camunda_tasks")
    return folder


def publish(vhost: Vhost, key: str, body: dict[str, Any]) -> None:
    """As the old worker does it, and wait until it is there."""
    with channel_to(vhost) as channel:
        channel.confirm_delivery()
        properties = pika.BasicProperties(delivery_mode=2, content_type="application/json")
        channel.basic_publish(TASKS, key, json.dumps(body), properties)


def topology_of(vhost: Vhost) -> Any:
    """Every exchange, queue and binding, with the counts of messages."""
    names = ("exchanges", "queues", "bindings")
    found = {}
    for name in names:
        request = urllib.request.Request(f"{vhost.management_url}/api/{name}/{vhost.vhost}")
        request.add_header("Authorization", f"Basic {b64encode(b'guest:guest').decode()}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            wanted = ("name", "type", "arguments", "source", "destination", "routing_key")
            found[name] = [{each: row.get(each) for each in wanted} for row in json.load(answer)]
    return found


def test_it_names_what_waits_and_what_to_do_and_changes_nothing(
    installation: Installation, broker: Vhost, old: Path
) -> None:
    publish(broker, "bitrix24.bitrix_create_task", {"task_id": "1"})
    publish(broker, "errors.camunda_tasks", {"error": "x"})
    before, files = topology_of(broker), sorted(installation.home.rglob("*"))

    said = installation.ask("migrate", "camunda", "--from", str(old), "--dry-run")

    queues = {each["name"]: (each["messages"], each["advice"]) for each in said["queues"]}
    assert queues["bitrix24.queue"][0] == queues[ERRORS][0] == 1
    assert "purge" in queues[ERRORS][1]
    assert {(each["name"], each["argument"]) for each in said["differences"]} == {
        (TASKS, "alternate-exchange"),
        (RESPONSES, "type"),
    }
    assert "sudo systemctl disable --now camunda-worker" in [each["stop"] for each in said["started_by"]]
    assert (topology_of(broker), sorted(installation.home.rglob("*"))) == (before, files)


def test_it_says_how_topics_go_on_and_shows_no_secret(installation: Installation, old: Path) -> None:
    ended = installation.run("migrate", "camunda", "--from", str(old))
    assert ended.returncode == 0, ended.stderr
    assert '"send_telegram*" = "python-services"' in ended.stdout
    assert "old-worker" in ended.stderr
    assert "hidden-one" not in ended.stdout + ended.stderr
    routes = installation.ask("migrate", "camunda", "--from", str(old))["routes"]
    (installation.home / "carex.toml").write_text(routes)
    assert installation.ask("migrate", "camunda", "--from", str(old))["topics"] == []


def test_without_its_rabbitmq_it_says_the_rest(installation: Installation, old: Path) -> None:
    env = (old / ".env").read_text().replace("RABBITMQ_PORT=", "RABBITMQ_PORT=1\n#")
    (old / ".env").write_text(env)
    ended = installation.run("migrate", "camunda", "--from", str(old), "--json")
    assert ended.returncode == 6
    assert json.loads(ended.stdout)["topics"][0]["topic"] == "send_telegram"


def test_a_message_that_waited_is_done_and_answered(installation: Installation, broker: Vhost, old: Path) -> None:
    """Old messages hold values without types, name nobody to answer to, and the answers' exchange is a direct one."""
    publish(
        broker,
        "python.own_topic",
        {
            "task_id": "t-1",
            "topic": "own_topic",
            "worker_id": "old-worker",
            "variables": {"number": 7},
            "retries": None,
        },
    )
    (installation.home / "own.py").write_text(
        "from carex import Plugin\nplugin = Plugin('own')\n\n"
        "@plugin.handler('own_topic')\ndef own(payload: dict, ctx):\n    return {'twice': 2 * payload['number']}\n"
    )
    installation.env["CAREX_HANDLERS"] = "own:plugin"
    lines = [line for line in (old / ".env").read_text().splitlines() if not line.startswith("RABBITMQ_VIRTUAL")]
    (installation.home / ".env").write_text("\n".join([*lines, f"CAREX_RABBITMQ__VHOST={broker.vhost}\n"]))

    installation.worker("--consume", "python-services.queue")

    answer = until(lambda: answered(broker), what="the answer")
    assert (answer["task_id"], answer["response_type"], answer["worker_id"]) == ("t-1", "complete", "old-worker")
    assert answer["variables"]["twice"]["value"] == 14


def answered(vhost: Vhost) -> dict[str, Any] | None:
    with channel_to(vhost) as channel:
        method, _, body = channel.basic_get(ANSWERS, auto_ack=True)
        return json.loads(body) if method else None
