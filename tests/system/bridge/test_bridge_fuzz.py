"""Answers as no system should give them, among good ones: those are set aside with a reason, these arrive."""

from __future__ import annotations

import json
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEAD = "camunda.responses.dead"
TASK = "TASK"
"""Stands for the id of a task that waits for an answer."""

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
no_text = st.integers() | st.booleans() | st.lists(st.integers(), max_size=2) | st.just("\ud800") | st.just("a\0b")
no_number = (
    st.text() | st.booleans() | st.integers(max_value=-1) | st.integers(min_value=1 << 40) | st.floats(allow_nan=False)
)
unfit = st.one_of(
    st.text() | st.integers() | st.lists(values, max_size=2),
    st.sampled_from(
        [
            {"x": {"value": "many", "type": "Integer"}},
            {"x": {"value": 1 << 40, "type": "Integer"}},
            {"x": {"value": "rO0ABQ==", "type": "Object"}},
            {"x": {"value": "2026-11-21", "type": "Date"}},
            {"": 1},
            {"n" * 300: 1},
            {f"v{number}": number for number in range(1000)},
        ]
    ),
    st.text(min_size=1).map(lambda kind: {"x": {"value": {}, "type": f"No{kind}"}}),
)


def answer(**fields: Any) -> bytes:
    return json.dumps({"task_id": TASK, "response_type": "complete", **fields}).encode()


def is_answer(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


GOOD = answer(variables={"x": 1})
bad = st.one_of(
    st.binary(max_size=100).filter(lambda body: not is_answer(body)),
    values.map(lambda value: json.dumps([value]).encode()),
    st.integers(1, len(GOOD) - 1).map(lambda length: GOOD[:length]),
    st.binary(min_size=1, max_size=5).filter(bytes.strip).map(lambda more: GOOD + more),
    st.sampled_from(
        [b"[" * 20_000, GOOD.decode().encode("utf-16"), GOOD.replace(b"1", b"NaN"), GOOD.replace(b"1", b"9" * 5000)]
    ),
    st.sampled_from(
        [GOOD.replace(b"{", b'{"task_id": "TASK", ', 1), GOOD.replace(b"1", b'{"a":' * 60 + b"1" + b"}" * 60)]
    ),
    st.text()
    .filter(lambda kind: kind not in ("complete", "failure", "bpmn_error"))
    .map(lambda kind: answer(response_type=kind)),
    (no_text | st.text("/.%\\ ", min_size=1)).map(lambda id: answer(task_id=id)),
    no_text.map(lambda worker: answer(worker_id=worker)),
    no_number.map(lambda number: answer(retries=number)),
    no_number.map(lambda number: answer(retry_timeout=number)),
    unfit.map(lambda variables: answer(variables=variables)),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=50).map(
        lambda code: answer(response_type="bpmn_error", error_code=f"no {code}")
    ),
    (no_text | st.just("") | st.just("x" * 300)).map(lambda code: answer(response_type="bpmn_error", error_code=code)),
)


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
@pytest.mark.parametrize("examples", [300, pytest.param(5000, marks=pytest.mark.chaos)])
def test_whatever_is_answered_the_good_answers_arrive_and_nothing_ends_by_mistake(running: Any, examples: int) -> None:
    rig, mailbox = running, running.mailbox()
    rig.engine.empty()
    rig.deploy("sale", "weather")
    rig.deploy("spoilt", "spoilt")
    good = examples // 10
    rig.start("sale", good)
    spoilt = rig.start("spoilt", 20)
    letters = [mailbox.take("default.queue") for _ in range(good + 20)]
    hopeful = iter([letter for letter in letters if letter.body["topic"] == "weather"])
    victims = cycle([letter.task_id for letter in letters if letter.body["topic"] == "spoilt"])
    sent = 0

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(bad)
    def bombard(body: bytes) -> None:
        nonlocal sent
        mailbox.send(body.replace(TASK.encode(), next(victims).encode()))
        sent += 1
        if sent % 10 == 0 and (letter := next(hopeful, None)):
            mailbox.answer(letter)

    bombard()
    for letter in hopeful:
        mailbox.answer(letter)
    rig.until(lambda: rig.states("sale") == {"COMPLETED": good}, 60 + examples / 20, "the good answers")
    rig.until(lambda: waiting(mailbox) == sent, 60 + examples / 20, f"{sent} dead")
    assert sent >= examples * 0.9
    assert rig.states("spoilt") == {"ACTIVE": len(spoilt)}
    dead = [mailbox.channel.basic_get(DEAD, auto_ack=True)[1] for _ in range(sent)]
    assert all(each.headers["x-carex-reason"] for each in dead)
    rig.engine.empty()


def waiting(mailbox: Any) -> int:
    return int(mailbox.channel.queue_declare(DEAD, passive=True).method.message_count)
