"""From the engine to the queues."""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from carex.camunda.messages import schema

ROUTES = {
    "bitrix_assign": "bitrix24",
    "op_create_project": "openproject",
    "1c_sync_data": "1c",
    "send_email": "python-services",
    "weather": "default",
}


def seconds_left(task: dict[str, Any]) -> float:
    expires = datetime.strptime(task["lockExpirationTime"], "%Y-%m-%dT%H:%M:%S.%f%z")
    return expires.timestamp() - time.time()  # the engine of a test has this machine's clock


def test_each_system_finds_its_tasks_in_its_queue(rig: Any) -> None:
    mailbox = rig.mailbox()
    rig.deploy("sale", *ROUTES)
    [instance] = rig.start("sale", variables={"deal_id": {"value": 5, "type": "Integer"}})
    rig.bridge()
    for topic, system in ROUTES.items():
        letter = mailbox.take(f"{system}.queue")
        Draft202012Validator(schema("task")).validate(letter.body)
        assert (letter.body["topic"], letter.body["business_key"]) == (topic, "7")
        assert letter.body["variables"]["deal_id"] == {"value": 5, "type": "Integer"}
        assert letter.body["process_definition_key"] == "sale"
        mailbox.answer(letter)
        sent = letter.properties
        assert (sent.message_id, sent.type, sent.delivery_mode) == (letter.task_id, topic, 2)
        assert (sent.content_type, sent.reply_to) == ("application/json", "camunda.responses.queue")
        assert letter.routing_key == f"{system}.{topic}"
    rig.until(lambda: rig.state(instance) == "COMPLETED")


def test_a_model_may_choose_another_queue(rig: Any) -> None:
    rig.deploy("sale", "bitrix_assign", queue="1c.queue")
    rig.start("sale")
    rig.bridge()
    assert rig.mailbox().take("1c.queue").body["topic"] == "bitrix_assign"


def test_a_topic_that_nobody_knew_is_handed_over_within_two_seconds(rig: Any) -> None:
    rig.bridge()
    mailbox = rig.mailbox()
    assert mailbox.maybe("default.queue", 1.0) is None
    rig.deploy("new", "never_seen")
    started = time.monotonic()
    rig.start("new")
    mailbox.take("default.queue")
    assert time.monotonic() - started < 2.0


def test_an_attempt_that_is_due_again_is_handed_over_within_two_seconds(rig: Any) -> None:
    rig.installation.env["CAREX_CAMUNDA__LONG_POLL"] = "10"  # which the end of a retry timeout does not wake
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    rig.start("sale")
    rig.bridge()
    first = mailbox.take("default.queue")
    mailbox.answer(first, "failure", retries=2, retry_timeout=3000)
    answered = time.monotonic()
    again = mailbox.take("default.queue")
    assert 2.5 < time.monotonic() - answered < 5.5
    assert (again.task_id, again.body["retries"]) == (first.task_id, 2)


def test_a_flood_of_one_topic_does_not_starve_another(rig: Any) -> None:
    rig.deploy("flood", "flood", priority=50)
    rig.deploy("rare", "rare")
    rig.start("flood", 150)
    rig.start("rare", 2)
    rig.bridge()
    mailbox = rig.mailbox()
    topics = [mailbox.take("default.queue").body["topic"] for _ in range(152)]
    assert [number for number, topic in enumerate(topics) if topic == "rare"][-1] < 100


def test_a_task_in_work_gets_the_long_lock_and_no_second_message(rig: Any) -> None:
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    [instance] = rig.start("sale")
    rig.bridge()
    mailbox.take("default.queue")
    rig.until(lambda: seconds_left(rig.task(instance)) > 500, 5)
    assert rig.task(instance)["workerId"] == "universal-worker"


def test_work_that_takes_longer_than_the_lock_is_not_handed_over_twice(rig: Any) -> None:
    rig.installation.env["CAMUNDA_LOCK_DURATION"] = "5000"
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    [instance] = rig.start("sale")
    rig.bridge()
    letter = mailbox.take("default.queue")
    assert mailbox.maybe("default.queue", 12.0) is None
    mailbox.answer(letter)
    rig.until(lambda: rig.state(instance) == "COMPLETED")


def test_a_bridge_that_starts_anew_keeps_the_locks_of_the_one_before(rig: Any) -> None:
    rig.installation.env["CAMUNDA_LOCK_DURATION"] = "8000"
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    [instance] = rig.start("sale")
    first = rig.bridge()
    mailbox.take("default.queue")
    rig.until(lambda: seconds_left(rig.task(instance)) > 6)
    first.kill()
    rig.bridge()
    assert mailbox.maybe("default.queue", 15.0) is None


def test_a_retry_timeout_is_not_taken_for_work(rig: Any) -> None:
    rig.installation.env["CAMUNDA_LOCK_DURATION"] = "6000"
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    rig.start("sale")
    rig.bridge()
    mailbox.answer(mailbox.take("default.queue"), "failure", retries=2, retry_timeout=4000)
    mailbox.answer(mailbox.take("default.queue", 8.0), "failure", retries=1, retry_timeout=4000)
    assert mailbox.take("default.queue", 8.0).body["retries"] == 1


def test_a_second_attempt_that_takes_long_is_kept_too(rig: Any) -> None:
    rig.installation.env["CAMUNDA_LOCK_DURATION"] = "5000"
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    rig.start("sale")
    rig.bridge()
    mailbox.answer(mailbox.take("default.queue"), "failure", retries=2, retry_timeout=0)
    mailbox.take("default.queue")
    assert mailbox.maybe("default.queue", 12.0) is None


def test_a_queue_that_was_deleted_is_made_again(rig: Any) -> None:
    mailbox = rig.mailbox()
    rig.deploy("sale", "1c_sync_data")
    rig.bridge()
    rig.start("sale")
    mailbox.take("1c.queue")
    mailbox.channel.queue_delete("1c.queue")
    rig.start("sale")
    assert mailbox.take("1c.queue").body["topic"] == "1c_sync_data"


def test_a_topic_without_a_queue_leaves_its_tasks_in_the_engine_and_holds_up_nobody(rig: Any) -> None:
    first = rig.bridge()
    first.send_signal(signal.SIGTERM)
    first.wait(10)
    mailbox = rig.mailbox()
    mailbox.channel.queue_delete("1c.queue")
    rig.installation.env["CAREX_RABBITMQ__DECLARE"] = "false"
    rig.deploy("lost", "1c_sync_data", priority=100)
    rig.deploy("sale", "weather")
    [lost, *_] = rig.start("lost", 30)
    rig.start("sale", 5)
    bridge = rig.bridge()
    assert {mailbox.take("default.queue").body["topic"] for _ in range(5)} == {"weather"}
    rig.until(lambda: "no queue is bound for it" in rig.installation.said(bridge))
    assert rig.task(lost)["retries"] is None
    assert rig.incidents(lost) == []


def test_a_bridge_that_is_told_to_stop_hands_over_what_it_has_and_ends_well(rig: Any) -> None:
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    bridge = rig.bridge()
    instances = rig.start("sale", 20)
    bridge.send_signal(signal.SIGTERM)
    assert bridge.wait(15) == 0
    published = set()
    while letter := mailbox.maybe("default.queue", 0.1):
        published.add(letter.task_id)
    tasks = [rig.task(instance) for instance in instances]
    assert {task["id"] for task in tasks if task["workerId"]} == published
    assert all(seconds_left(task) > 500 for task in tasks if task["workerId"])


def test_an_open_lock_of_a_bridge_that_died_between_fetch_and_publish_runs_out_soon(rig: Any) -> None:
    rig.installation.env["CAREX_CAMUNDA__HANDOVER_LOCK"] = "5"
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    rig.start("sale")
    topics = [{"topicName": "weather", "lockDuration": 5000}]
    body = {"workerId": "universal-worker", "maxTasks": 1, "topics": topics}
    [stranded] = rig.engine.call("POST", "/external-task/fetchAndLock", body)
    rig.bridge()  # its sweep must not take the dead one's lock for work
    assert mailbox.take("default.queue", 8.0).task_id == stranded["id"]


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
def test_a_message_keeps_large_numbers_and_other_alphabets(rig: Any) -> None:
    rig.deploy("sale", "weather")
    variables = {"n": {"value": 9007199254740993, "type": "Long"}, "имя": {"value": "Ы\u2028", "type": "String"}}
    rig.start("sale", variables=variables)
    rig.bridge()
    letter = rig.mailbox().take("default.queue")
    assert letter.body["variables"] == json.loads(json.dumps(variables))


def test_an_answer_to_a_task_that_another_worker_has_is_laid_aside(rig: Any) -> None:
    mailbox = rig.mailbox()
    rig.deploy("sale", "weather")
    [instance] = rig.start("sale")
    bridge = rig.bridge()
    letter = mailbox.take("default.queue")
    bridge.terminate()
    bridge.wait(10)
    rig.engine.call("POST", f"/external-task/{letter.task_id}/unlock")
    rig.engine.call("POST", f"/external-task/{letter.task_id}/lock", {"workerId": "w2", "lockDuration": 60_000})
    rig.bridge()
    mailbox.send({"task_id": letter.task_id, "response_type": "complete", "worker_id": "w1"})
    assert mailbox.take("camunda.responses.dead").properties.headers["x-carex-reason"] == "another worker has the task"
    assert rig.state(instance) == "ACTIVE"
