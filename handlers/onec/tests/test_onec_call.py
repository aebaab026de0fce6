"""`1c_call_service`: what a service says, and what happens when nobody knows whether it did it."""

import asyncio
from typing import Any

import pytest
from carex_onec import plugin
from carex_onec.simulator import Fault

from carex import BpmnError, Done, Fail, Retry, Wait
from carex.testing import call

ECHO = {"path": "carex/v1/echo", "body": {"номер": 1}}


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/json", "text/plain", "nonsense"])
@pytest.mark.parametrize("mark", [True, False])
def test_json_is_read_whatever_it_is_called(shop: Any, run: Any, content_type: str, mark: bool) -> None:
    base = shop(content_type=content_type, byte_order_mark=mark)

    result = run(base, "1c_call_service", {**ECHO, "query": {"день": "31 января", "n": 2}}).result

    assert result["status"] == 200
    assert result["body"]["given"] == {"номер": 1}
    assert result["body"]["query"] == {"день": "31 января", "n": "2"}


def test_the_service_gets_a_key_that_stays_the_same(shop: Any, run: Any) -> None:
    base = shop()

    for attempt in (1, 2):
        run(base, "1c_call_service", {**ECHO, "repeatable": True}, attempt=attempt)

    assert {each.headers["idempotency-key"] for each in base.log if each.method == "POST"} == {"task-1"}


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, BpmnError, "INVALID"),
        (404, BpmnError, "NOT_FOUND"),
        (409, BpmnError, "CONFLICT"),
        (422, BpmnError, "INVALID"),
        (403, Fail, None),
        (429, Wait, None),
        (500, Fail, None),
        (503, Wait, None),
    ],
)
def test_a_services_own_words_become_outcomes(shop: Any, run: Any, status: int, kind: type, code: str | None) -> None:
    base = shop(service=lambda operation, payload: (status, {"error": "так нельзя"}))

    outcome = run(base, "1c_call_service", ECHO)

    assert isinstance(outcome, kind)
    assert "так нельзя" in outcome.reason
    assert getattr(outcome, "code", None) == code


@pytest.mark.parametrize("status", [500, 502, 504])
def test_what_may_have_been_done_is_not_done_again(shop: Any, run: Any, status: int) -> None:
    base = shop()
    base.faults.append(Fault(status, method="POST", applied=True))

    outcome = run(base, "1c_call_service", ECHO)

    assert isinstance(outcome, Fail)
    assert "Nobody knows" in outcome.reason
    assert len(base.calls) == 1


def test_what_is_repeatable_waits_and_is_done_again(shop: Any, run: Any) -> None:
    base = shop()
    base.faults.append(Fault(502, method="POST", applied=True))

    first, second = (run(base, "1c_call_service", {**ECHO, "repeatable": True}) for _ in (1, 2))

    assert (type(first), type(second)) == (Wait, Done)


def test_an_error_inside_a_repeatable_service_costs_an_attempt(shop: Any, run: Any) -> None:
    base = shop(service=lambda operation, payload: (500, {"error": "деление на 0"}))

    assert isinstance(run(base, "1c_call_service", {**ECHO, "repeatable": True}), Retry)


def test_a_call_that_a_crash_cut_off_is_left_to_a_person(shop: Any, run: Any) -> None:
    base = shop()

    outcome = run(base, "1c_call_service", ECHO, attempt=2)

    assert isinstance(outcome, Fail)
    assert base.log == []


def test_a_call_that_is_given_up_says_that_it_may_have_been_done(shop: Any, connect: Any) -> None:
    base = shop()

    async def scenario() -> Any:
        reached = asyncio.Event()

        async def never() -> None:
            reached.set()
            await asyncio.Event().wait()

        base.hold = never
        async with connect(base) as infobase:
            handler = plugin.handlers["1c_call_service"]
            attempt = asyncio.create_task(call(handler, ECHO, settings=infobase.settings, client=infobase))
            await reached.wait()
            attempt.cancel()
            base.hold = None
            return await attempt

    assert isinstance(asyncio.run(scenario()), Fail)


def test_a_service_that_is_not_there_is_said_so(shop: Any, run: Any) -> None:
    outcome = run(shop(), "1c_call_service", {"path": "/no/such/"})

    assert isinstance(outcome, Fail)
    assert "/hs/no/such" in outcome.reason


@pytest.mark.parametrize("path", ["../odata", "a/../b", "http://elsewhere/x", "a?b", ""])
def test_only_paths_of_services_are_called(shop: Any, run: Any, path: str) -> None:
    base = shop()

    assert isinstance(run(base, "1c_call_service", {"path": path}), Fail)
    assert base.log == []


@pytest.mark.parametrize("as_page", [True, False])
def test_a_password_that_1c_repeats_is_not_shown(shop: Any, run: Any, as_page: bool) -> None:
    base = shop(service=lambda operation, payload: (500, {"error": "Обмен:пароль-1C"}))
    base.faults += [Fault(500, "Обмен:пароль-1C")] * as_page

    outcome = run(base, "1c_call_service", ECHO)

    assert "Обмен:***" in outcome.reason
