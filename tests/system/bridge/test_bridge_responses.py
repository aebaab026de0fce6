"""From the responses queue to the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

DEAD = "camunda.responses.dead"


@pytest.fixture
def handed(running: Any) -> Iterator[tuple[Any, Any, str, Any]]:
    """A bridge, and one task that was handed over: the rig, a mailbox, the instance and the message."""
    mailbox = running.mailbox()
    running.deploy("sale", "weather")
    [instance] = running.start("sale")
    yield running, mailbox, instance, mailbox.take("default.queue")
    running.engine.empty()
    for queue in ("default.queue", DEAD):
        mailbox.channel.queue_purge(queue)


def test_a_result_reaches_the_process(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    variables = {
        "text": {"value": "Ы", "type": "String"},
        "number": {"value": 3000000000},
        "bare": True,
        "day": {"value": "2026-11-21T10:20:30+03:00", "type": "date"},
    }
    mailbox.answer(letter, variables=variables)
    rig.until(lambda: rig.state(instance) == "COMPLETED")
    found = rig.variables(instance)
    assert found["text"] == ("String", "Ы")
    assert (found["number"], found["bare"]) == (("Long", 3000000000), ("Boolean", True))
    assert found["day"][0] == "Date"
    assert rig.ended_at(instance) == "end"


def test_lists_and_long_texts_reach_any_engine(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    mailbox.answer(letter, variables={"people": [1, 2], "text": "x" * 5000})
    rig.until(lambda: rig.state(instance) == "COMPLETED")
    found = rig.variables(instance)
    if rig.engine.flavour == "camunda":
        assert {each[0] for each in found.values()} == {"Json"}
    else:
        assert found["people"] == ("String", "[1, 2]")
        assert found["text"][0] == "Bytes"


def test_retries_are_counted_down_to_an_incident(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    for left in (2, 1):
        mailbox.answer(letter, "failure", error_message="no rain", retry_timeout=0)
        letter = mailbox.take("default.queue")
        assert letter.body["retries"] == left
    mailbox.answer(letter, "failure", error_message="no rain " + "x" * 700, error_details="trace", retry_timeout=0)
    [message] = rig.until(lambda: rig.incidents(instance))
    assert message.startswith("no rain")


def test_an_error_that_the_model_catches_takes_its_way(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    mailbox.answer(letter, "bpmn_error", error_code="no_stock", error_message="none", variables={"left": 0})
    rig.until(lambda: rig.state(instance) == "COMPLETED")
    assert rig.ended_at(instance) == "task0_end"
    assert rig.variables(instance)["left"] == ("Integer", 0)


def test_an_error_that_nothing_catches_becomes_an_incident(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    mailbox.answer(letter, "bpmn_error", error_code="no_stok")
    [message] = rig.until(lambda: rig.incidents(instance))
    assert "no_stok" in message
    assert rig.state(instance) == "ACTIVE"
    assert "no_stok" in mailbox.take(DEAD).properties.headers["x-carex-reason"]


@pytest.mark.parametrize(
    "variables",
    [{"x": {"value": "many", "type": "Integer"}}, {"x": {"value": "rO0AB", "type": "Object"}}, {"": 1}],
    ids=["text as a number", "a serialised object", "no name"],
)
def test_variables_that_no_engine_takes_become_an_incident(handed: Any, variables: Any) -> None:
    rig, mailbox, instance, letter = handed
    mailbox.answer(letter, variables=variables)
    rig.until(lambda: rig.incidents(instance))
    assert mailbox.take(DEAD).body["variables"] == variables


def test_what_only_the_engine_refuses_becomes_an_incident(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    mailbox.answer(letter, variables={"x": {"value": "<a/>", "type": "Xml"}})
    if rig.engine.flavour == "camunda":
        rig.until(lambda: rig.state(instance) == "COMPLETED")
    else:
        [message] = rig.until(lambda: rig.incidents(instance))
        assert "Unsupported value type" in message


@pytest.mark.parametrize("worker", [None, "", "an-older-bridge"])
def test_a_missing_or_stale_worker_id_is_looked_up(handed: Any, worker: str | None) -> None:
    rig, mailbox, instance, letter = handed
    mailbox.send({"task_id": letter.task_id, "response_type": "complete", "worker_id": worker})
    rig.until(lambda: rig.state(instance) == "COMPLETED")


def test_a_task_that_somebody_unlocked_is_completed_all_the_same(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    rig.engine.call("PUT", f"/process-instance/{instance}/suspended", {"suspended": True})  # so that nobody fetches it
    rig.engine.call("POST", f"/external-task/{letter.task_id}/unlock")
    mailbox.answer(letter)
    rig.engine.call("PUT", f"/process-instance/{instance}/suspended", {"suspended": False})
    rig.until(lambda: rig.state(instance) == "COMPLETED")


def test_an_answer_to_a_suspended_process_waits_for_it(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    rig.engine.call("PUT", f"/process-instance/{instance}/suspended", {"suspended": True})
    mailbox.answer(letter)
    other = rig.start("sale")[0]
    mailbox.answer(mailbox.take("default.queue"))
    rig.until(lambda: rig.state(other) == "COMPLETED")
    assert rig.state(instance) == "SUSPENDED"
    rig.engine.call("PUT", f"/process-instance/{instance}/suspended", {"suspended": False})
    rig.until(lambda: rig.state(instance) == "COMPLETED")


def test_the_second_answer_to_a_task_is_dropped(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    for _ in range(5):
        mailbox.answer(letter)
    mailbox.answer(letter, "failure")
    rig.until(lambda: rig.state(instance) == "COMPLETED")
    assert mailbox.maybe(DEAD, 1.0) is None
    assert mailbox.channel.queue_declare("camunda.responses.queue", passive=True).method.message_count == 0


def test_a_good_answer_after_a_bad_one_still_completes(handed: Any) -> None:
    rig, mailbox, instance, letter = handed
    mailbox.answer(letter, variables={"x": {"value": "", "type": "Nope"}})
    mailbox.answer(letter, variables={"x": 1})
    rig.until(lambda: rig.state(instance) == "COMPLETED")


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"\xff\xfe", b"[]", b'{"task_id": "x"}', b'{"task_id": "../x", "response_type": "complete"}'],
)
@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
def test_what_nobody_can_read_goes_to_the_dead_with_its_reason(running: Any, body: bytes) -> None:
    mailbox = running.mailbox()
    mailbox.send(body, message_id="m", headers={"from": "tests"})
    dead = mailbox.take(DEAD)
    assert dead.raw == body
    assert dead.properties.headers["x-carex-reason"]
    assert dead.properties.headers["from"] == "tests"


def bad(number: int, task_id: str) -> bytes:
    """One of many ways to answer badly."""
    answer = {"task_id": task_id, "response_type": "complete"}
    return (
        b"\x00\xff",
        b'{"task_id": "' + task_id.encode() + b'", "task_id": "x", "response_type": "complete"}',
        json.dumps({**answer, "response_type": "done"}).encode(),
        json.dumps({**answer, "response_type": "bpmn_error"}).encode(),
        json.dumps({**answer, "variables": {"x": {"value": "y", "type": "Integer"}}}).encode(),
        json.dumps({**answer, "response_type": "bpmn_error", "error_code": "typo"}).encode(),
        b"[" * 10_000,
    )[number % 7]


def test_bad_answers_do_not_hold_up_the_good_ones(handed: Any) -> None:
    rig, mailbox, _, letter = handed
    rig.deploy("spoilt", "spoilt")
    rig.start("sale", 19)
    spoilt = rig.start("spoilt", 14)
    letters = [letter, *(mailbox.take("default.queue") for _ in range(33))]
    victims = [letter.task_id for letter in letters if letter.body["topic"] == "spoilt"]
    for number in range(100):
        mailbox.send(bad(number, victims[number % 14]))
        if number % 5 == 0:
            mailbox.answer([letter for letter in letters if letter.body["topic"] == "weather"][number // 5])
    rig.until(lambda: rig.states("sale")["COMPLETED"] == 20)
    rig.until(lambda: mailbox.channel.queue_declare(DEAD, passive=True).method.message_count == 100)
    assert rig.states("spoilt")["ACTIVE"] == 14
    assert sum(len(rig.incidents(each)) for each in spoilt) == 4  # those whose task could be read
