"""What is killed, cut off or doubled."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

operaton = pytest.mark.parametrize("engine", ["operaton"], indirect=True)


def retries_unspent(rig: Any) -> bool:
    log = rig.engine.call("GET", "/history/external-task-log?failureLog=true")
    return log == [] and rig.engine.call("GET", "/incident") == []


def completed_once(rig: Any) -> bool:
    log = rig.engine.call("GET", "/history/external-task-log?successLog=true&maxResults=10000")
    return len(log) == len({each["externalTaskId"] for each in log})


def test_two_bridges_hand_over_no_task_twice(rig: Any) -> None:
    rig.deploy("sale", "weather")
    rig.start("sale", 150)
    bridges = [rig.bridge(), rig.bridge()]
    echo = rig.echo("default.queue")
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 150, 60)
    assert set(echo.seen.values()) == {1}
    assert completed_once(rig)
    for bridge in bridges:
        bridge.terminate()
        bridge.wait(10)
    carried = [int(re.findall(r"Успешно: (\d+)", rig.installation.said(bridge))[-1]) for bridge in bridges]
    assert sum(carried) == 150


def test_halves_can_run_apart(rig: Any) -> None:
    rig.deploy("sale", "weather")
    rig.start("sale", 5)
    rig.bridge("--only", "dispatch")
    rig.bridge("--only", "responses")
    rig.echo("default.queue")
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 5)


@operaton
def test_a_bridge_killed_again_and_again_loses_nothing(rig: Any) -> None:
    rig.installation.env["CAREX_CAMUNDA__HANDOVER_LOCK"] = "5"
    rig.deploy("sale", "weather")
    rig.echo("default.queue")
    for _ in range(4):
        rig.start("sale", 25)
        bridge = rig.bridge()
        before = rig.states("sale")["COMPLETED"]
        rig.until(lambda before=before: rig.states("sale")["COMPLETED"] > before + 3, 30)
        bridge.kill()
        bridge.wait(10)
    killed = time.monotonic()
    rig.bridge()
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 100, 40)
    assert time.monotonic() - killed < 5 + 5 + 5  # the hand-over lock, and the command's own start
    assert completed_once(rig)
    assert retries_unspent(rig)


@operaton
def test_rabbitmq_may_be_away(make_rig: Any, clean_engine: Any, start_broker: Callable[[], Any]) -> None:
    broker = start_broker()
    rig = make_rig(clean_engine, broker.default)
    rig.deploy("sale", "weather")
    rig.bridge()
    echo = rig.echo("default.queue")
    rig.start("sale", 10)
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 10)
    broker.kill()
    rig.start("sale", 30)
    time.sleep(3)  # the time of the outage, in which nothing must happen
    untouched = rig.engine.call("GET", "/external-task/count?notLocked=true")["count"]
    broker.start()
    broker.ready()
    ready = time.monotonic()
    rig.until(lambda: rig.states("sale")["COMPLETED"] > 10, 30)
    assert time.monotonic() - ready < 5
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 40, 40)
    assert untouched >= 20  # at most what one poll had brought when RabbitMQ went
    assert retries_unspent(rig)
    assert completed_once(rig)
    assert sum(echo.seen.values()) >= 40


@pytest.mark.parametrize("flavour", ["operaton", "camunda"])
def test_the_engine_may_be_away(
    make_rig: Any, broker: Any, start_engine: Callable[..., Any], tmp_path: Path, flavour: str
) -> None:
    engine = start_engine(flavour, database=tmp_path / "engine")
    rig = make_rig(engine, broker)
    rig.deploy("sale", "weather")
    bridge = rig.bridge()
    mailbox = rig.mailbox()
    instances = rig.start("sale", 10)
    letters = [mailbox.take("default.queue") for _ in range(10)]
    engine.kill()
    for letter in letters:
        mailbox.answer(letter)
    rig.until(lambda: "Answers wait for the engine" in rig.installation.said(bridge))
    engine.start()
    engine.ready()
    ready = time.monotonic()
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 10, 30)
    assert time.monotonic() - ready < 5
    assert all(rig.state(each) == "COMPLETED" for each in instances)
    assert retries_unspent(rig)
    assert mailbox.maybe("default.queue", 1.0) is None


@operaton
def test_an_alarm_of_rabbitmq_stops_the_fetching_but_not_the_answers(
    make_rig: Any, clean_engine: Any, start_broker: Callable[[], Any]
) -> None:
    broker = start_broker()
    rig = make_rig(clean_engine, broker.default)
    rig.deploy("sale", "weather")
    rig.bridge()
    mailbox = rig.mailbox()
    [instance] = rig.start("sale")
    mailbox.answer(mailbox.take("default.queue"))
    rig.until(lambda: rig.state(instance) == "COMPLETED")
    broker.alarm(True)
    rig.start("sale", 15)
    time.sleep(2)  # in which nothing more than one fetch may happen
    assert rig.engine.call("GET", "/external-task/count?notLocked=true")["count"] >= 5
    broker.alarm(False)
    letters = [mailbox.take("default.queue", 30) for _ in range(15)]
    assert len({letter.task_id for letter in letters}) == 15
    assert retries_unspent(rig)
