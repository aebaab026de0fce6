"""What people and dashboards see of the bridge."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

operaton = pytest.mark.parametrize("engine", ["operaton"], indirect=True)


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line.startswith("carex_bridge")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@operaton
def test_the_bridge_counts_what_it_does(rig: Any, free_port: int) -> None:
    rig.deploy("sale", "weather")
    rig.start("sale", 3)
    rig.bridge("--metrics-port", str(free_port))
    rig.echo("default.queue")
    rig.until(lambda: metrics(free_port).get('carex_bridge_answered_total{result="complete"}') == 3)
    found = metrics(free_port)
    assert found["carex_bridge_fetched_total"] == 3
    assert found['carex_bridge_published_total{receipt="confirmed"}'] == 3
    assert (found["carex_bridge_engine_up"], found["carex_bridge_broker_up"]) == (1, 1)
    assert found["carex_bridge_since_poll_seconds"] < 10


@operaton
def test_the_bridge_has_its_two_log_files_and_the_line_that_dashboards_read(rig: Any) -> None:
    bridge = rig.bridge()
    mailbox = rig.mailbox()
    mailbox.send(b"nonsense")
    mailbox.take("camunda.responses.dead")
    bridge.terminate()
    assert bridge.wait(10) == 0
    logs = rig.installation.home / "logs"
    assert {path.name for path in logs.iterdir()} == {"camunda_worker.log", "camunda_worker_errors.log"}
    assert "Monitor - Uptime: " in (logs / "camunda_worker.log").read_text()
    assert "| Обработано: 1 | Успешно: 0 | Ошибки: 1" in (logs / "camunda_worker.log").read_text()
    assert "not JSON" in (logs / "camunda_worker_errors.log").read_text()
    assert "INFO" not in (logs / "camunda_worker_errors.log").read_text()


@pytest.mark.parametrize("name", ["task", "response"])
def test_the_formats_are_printed_as_json_schema(installation: Any, name: str) -> None:
    ended = installation.run("camunda", "schema", name)
    assert json.loads(ended.stdout)["required"][0] == "task_id"


def test_without_an_engine_the_bridge_says_what_to_set(installation: Any) -> None:
    ended = installation.run("camunda", "bridge")
    assert ended.returncode == 3
    assert "CAMUNDA_BASE_URL" in ended.stderr


@operaton
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("CAMUNDA_BASE_URL", "http://127.0.0.1:1/", None),
        ("RABBITMQ_PASSWORD", "wrong-word", "password"),
        ("CAREX_RABBITMQ__VHOST", "nowhere", "nowhere"),
    ],
)
def test_what_trying_again_would_not_mend_ends_the_bridge(rig: Any, setting: str, value: str, said: str | None) -> None:
    rig.installation.env[setting] = rig.engine.url.replace("/engine-rest", "/") if said is None else value
    ended = rig.installation.run("camunda", "bridge", timeout=20)
    assert ended.returncode == 3
    assert said is None or said in ended.stderr
    assert "wrong-word" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_password_of_the_engine_is_shown_once_and_ends_the_bridge(
    make_rig: Any, broker: Any, start_engine: Callable[..., Any]
) -> None:
    rig = make_rig(start_engine("operaton", auth=True), broker)
    rig.installation.env["CAMUNDA_AUTH_PASSWORD"] = "wrong-word"
    ended = rig.installation.run("camunda", "bridge", timeout=20)
    assert ended.returncode == 3
    assert "password" in ended.stderr.lower()
    assert "wrong-word" not in ended.stderr


def test_a_bridge_with_a_password_carries_too(make_rig: Any, broker: Any, start_engine: Callable[..., Any]) -> None:
    rig = make_rig(start_engine("camunda", auth=True), broker)
    rig.deploy("sale", "weather")
    rig.start("sale", 3)
    rig.bridge()
    rig.echo("default.queue")
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 3)
