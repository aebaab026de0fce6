from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from carex.camunda.messages import (
    LARGEST_RESPONSE,
    Malformed,
    answer_of,
    parse_response,
    schema,
    task_body,
    to_task,
)
from carex.queue import Delivery
from carex.rabbitmq.message import Incoming
from carex.task import BpmnError, Done, Fail, Outcome, Retry, Task, Wait

FETCHED = {
    "id": "0f2d-1",
    "topicName": "bitrix_assign",
    "workerId": "universal-worker",
    "variables": {
        "deal_id": {"type": "Long", "value": 9007199254740993, "valueInfo": {}},
        "order": {"type": "Json", "value": '{"sum": 5}', "valueInfo": {}},
        "scan": {"type": "File", "value": None, "valueInfo": {"filename": "a.pdf"}},
    },
    "businessKey": "№ 7",
    "processInstanceId": "p1",
    "processDefinitionKey": "sale",
    "activityId": "assign",
    "retries": None,
    "priority": 50,
    "tenantId": None,
    "createTime": "2026-11-21T10:20:30.123+0300",
}


def incoming(body: Any) -> Incoming:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming("bitrix24.queue", content, type="bitrix_assign", reply_to="camunda.responses.queue")


def delivery(retries: int | None = None) -> Delivery:
    reply = {"task_id": "t1", "worker_id": "universal-worker", "retries": retries, "reply_to": None}
    return Delivery(Task("x", reply=reply, attempt=1), 1, "me", 0, 0.0)


def answered(outcome: Outcome, retries: int | None = None, attempts: int = 8) -> dict[str, Any]:
    text = answer_of(delivery(retries), outcome, attempts, lambda attempt: 10.0 * attempt)
    assert text is not None
    parse_response(text.encode())
    Draft202012Validator(schema("response")).validate(json.loads(text))
    return dict(json.loads(text))


def test_a_task_message_has_the_published_form() -> None:
    body = json.loads(task_body(FETCHED))
    Draft202012Validator(schema("task")).validate(body)
    assert body["variables"]["deal_id"] == {"value": 9007199254740993, "type": "Long"}
    assert body["variables"]["scan"]["valueInfo"] == {"filename": "a.pdf"}
    assert (body["business_key"], body["retries"], body["created"]) == ("№ 7", None, "2026-11-21T10:20:30.123+0300")


def test_a_task_message_becomes_a_task_that_knows_how_to_answer() -> None:
    task = to_task(incoming(task_body(FETCHED)))
    assert (task.type, task.key, task.window, task.source) == ("bitrix_assign", "0f2d-1", 86400.0, "rabbitmq")
    assert task.payload == {"deal_id": 9007199254740993, "order": {"sum": 5}, "scan": None}
    assert task.reply == {
        "task_id": "0f2d-1",
        "topic": "bitrix_assign",
        "worker_id": "universal-worker",
        "retries": None,
        "reply_to": "camunda.responses.queue",
    }


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        ({"topic": "a"}, "task_id"),
        ({"task_id": "a b"}, "task_id"),
        ({"task_id": "a", "topic": ""}, "topic"),
        ({"task_id": "a", "variables": [5]}, "variables"),
        ({"task_id": "a", "retries": -1}, "retries"),
    ],
)
def test_a_message_that_is_no_task_says_why(body: Any, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        to_task(incoming(body))


def test_the_topic_may_come_from_the_message_type() -> None:
    assert to_task(incoming({"task_id": "a"})).type == "bitrix_assign"


@pytest.mark.parametrize(
    ("result", "variables"),
    [
        (None, {}),
        ({"user_id": 5, "ok": True}, {"user_id": ("Integer", 5), "ok": ("Boolean", True)}),
        ("words", {"result": ("String", "words")}),
        ({"people": [1, 2]}, {"people": ("Json", "[1, 2]")}),
        ({"text": "ы" * 4001}, {"text": ("Json", json.dumps("ы" * 4001, ensure_ascii=False))}),
    ],
)
def test_a_result_becomes_typed_variables(result: Any, variables: dict[str, Any]) -> None:
    answer = answered(Done(result))
    assert answer["response_type"] == "complete"
    assert {name: (each["type"], each["value"]) for name, each in answer["variables"].items()} == variables


@pytest.mark.parametrize(
    ("outcome", "retries", "expected"),
    [
        (Retry("busy"), None, (7, 10_000)),
        (Retry("busy"), 7, (6, 20_000)),
        (Retry("busy", delay=2.5), 7, (6, 2500)),
        (Retry("busy"), 1, (0, 80_000)),
        (Wait("night", delay=30), None, (8, 30_000)),
        (Wait("night", delay=30), 2, (2, 30_000)),
        (Fail("never"), 5, (0, 0)),
    ],
)
def test_the_engine_is_told_how_many_attempts_are_left(
    outcome: Any, retries: int | None, expected: tuple[int, int]
) -> None:
    answer = answered(outcome, retries, attempts=8)
    assert (answer["retries"], answer["retry_timeout"]) == expected
    assert (answer["response_type"], answer["error_message"]) == ("failure", outcome.reason)


def test_a_business_error_carries_its_code_and_variables() -> None:
    answer = answered(BpmnError("no_stock", "none left", {"left": 0}))
    assert (answer["response_type"], answer["error_code"]) == ("bpmn_error", "no_stock")
    assert answer["variables"] == {"left": {"value": 0, "type": "Integer"}}


@pytest.mark.parametrize(
    "outcome",
    [
        Done({"x": object()}),
        Done({"x": float("nan")}),
        Done({5: 1}),
        Done("x" * LARGEST_RESPONSE),
        BpmnError(""),
        Fail("\0\ud800"),
        Fail("x" * LARGEST_RESPONSE),
    ],
)
def test_what_fits_into_no_message_becomes_an_incident(outcome: Outcome) -> None:
    answer = answered(outcome)
    assert (answer["response_type"], answer["retries"]) == ("failure", 0)


def test_nobody_waiting_gets_no_answer() -> None:
    nobody = Delivery(Task("x"), 1, "me", 0, 0.0)
    assert answer_of(nobody, Done(), 8, lambda attempt: 1.0) is None


def test_a_response_is_read() -> None:
    response = parse_response(
        b'{"task_id": "t", "response_type": "failure", "retries": 2, "retry_timeout": 5000, "more": 1,'
        b' "worker_id": null, "variables": {"a": {"value": 1}, "b": "two", "c": {"value": "x", "type": "integer"}}}'
    )
    assert (response.kind, response.retries, response.retry_timeout_ms, response.worker_id) == (
        "failure",
        2,
        5000,
        None,
    )
    assert response.variables == {"a": {"value": 1, "type": "Integer"}, "b": {"value": "two", "type": "String"}}
    assert len(response.unfit) == 1


def what_is_wrong(body: bytes) -> str:
    try:
        return ", ".join(parse_response(body).unfit)
    except Malformed as error:
        return error.reason


RESPONSE = {"task_id": "t", "response_type": "complete"}
BAD = {
    "no task": {"response_type": "complete"},
    "a path for an id": {**RESPONSE, "task_id": "../x"},
    "no type": {"task_id": "t"},
    "an unknown type": {**RESPONSE, "response_type": "done"},
    "an error without code": {**RESPONSE, "response_type": "bpmn_error"},
    "a negative number": {**RESPONSE, "retries": -1},
    "a truth for a number": {**RESPONSE, "retries": True},
    "a fraction": {**RESPONSE, "retry_timeout": 0.5},
    "a number for a text": {**RESPONSE, "error_message": 5},
    "a long code": {**RESPONSE, "response_type": "bpmn_error", "error_code": "x" * 256},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_the_schema_refuses_is_refused(body: dict[str, Any]) -> None:
    assert not Draft202012Validator(schema("response")).is_valid(body)
    with pytest.raises(Malformed):
        parse_response(json.dumps(body).encode())


@pytest.mark.parametrize(
    "variables",
    [
        5,
        {"x": {"value": "x", "type": "Object"}},
        {"": 1},
        {"x" * 256: 1},
        {f"x{n}": 1 for n in range(201)},
    ],
)
def test_variables_that_the_schema_refuses_are_unfit(variables: Any) -> None:
    body = {**RESPONSE, "variables": variables}
    assert not Draft202012Validator(schema("response")).is_valid(body)
    assert parse_response(json.dumps(body).encode()).unfit


@pytest.mark.parametrize(
    "body",
    [
        b'{"task_id": "t", "task_id": "u", "response_type": "complete"}',
        b'{"task_id": "t", "response_type": "complete", "variables": {"x": {"value": NaN}}}',
        b'{"task_id": "t", "response_type": "complete", "variables": {"x": {"value": 1e999}}}',
        b'{"task_id": "t", "response_type": "complete", "variables": {"x": ' + b"9" * 5000 + b"}}",
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b'{"task_id": "t", "response_type": "complete", "x": ' + b"[" * 60 + b"]" * 60 + b"}",
        b'{"task_id": "t", "response_type": "complete"}' + b" " * LARGEST_RESPONSE,
        b'{"task_id": "t", "response_type": "failure", "error_message": "a\\u0000b"}',
        b'{"task_id": "t", "response_type": "failure", "error_message": "\\ud800"}',
        b'\xef\xbb\xbf{"task_id": "t", "response_type": "complete"}',
    ],
)
def test_what_two_readers_might_understand_differently_is_refused(body: bytes) -> None:
    assert 0 < len(what_is_wrong(body)) < 300


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_any_bytes_are_read_or_refused(body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps({**RESPONSE, "variables": body}).encode()
    what_is_wrong(content)
