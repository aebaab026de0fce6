import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from carex_bitrix24 import Settings
from carex_bitrix24.client import Portal

from carex import BpmnError, Fail, Retry, Wait

HOME = "https://portal.example/rest/1/s3cr3tw0rd/"
Answer = Callable[[httpx.Request], httpx.Response]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Script:
    """A transport that gives answers in turn, the last one for ever, and remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)


def says(status: int, body: Any, **headers: str) -> Answer:
    if isinstance(body, str):
        return lambda _: httpx.Response(status, text=body, headers=headers)
    return lambda _: httpx.Response(status, json=body, headers=headers)


def breaks(error: type[httpx.TransportError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error(f"failed for {request.url}")

    return answer


def refuses(status: int, code: str, text: str = "") -> Answer:
    return says(status, {"error": code, "error_description": text})


def portal(script: Script, clock: Callable[[], float] | None = None) -> Portal:
    return Portal(
        Settings.model_validate({"webhook": HOME, "requests_per_second": 1000}),
        transport=httpx.MockTransport(script),
        clock=clock or Clock(),
    )


def call(given: Portal, method: str = "crm.item.update", *, repeatable: bool = True) -> Any:
    """The result, or what was raised."""
    try:
        return asyncio.run(given.call(method, {"id": 1}, repeatable=repeatable))
    except (Wait, Retry, Fail, BpmnError) as outcome:
        return outcome


OK = says(200, {"result": {"item": {"id": 1}}})
DOWN = breaks(httpx.ConnectError)


def test_a_call_is_json_to_the_methods_address() -> None:
    script = Script(OK)

    result = call(portal(script))

    asked = script.asked[0]
    assert result == {"item": {"id": 1}}
    assert (asked.method, str(asked.url)) == ("POST", f"{HOME}crm.item.update")
    assert json.loads(asked.content) == {"id": 1}
    assert (asked.headers["accept"], asked.headers["content-type"]) == ("application/json", "application/json")
    assert asked.headers["user-agent"].startswith("carex/")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refuses(503, "QUERY_LIMIT_EXCEEDED"), Wait),
        (refuses(429, "OPERATION_TIME_LIMIT"), Wait),
        (refuses(503, "OVERLOAD_LIMIT"), Wait),
        (refuses(401, "NO_AUTH_FOUND"), Wait),
        (refuses(404, "ERROR_METHOD_NOT_FOUND"), Wait),
        (says(502, "<html>"), Wait),
        (says(200, '{"result": {"it'), Wait),
        (says(200, "[" * 200_000), Wait),
        (DOWN, Wait),
        (breaks(httpx.ConnectTimeout), Wait),
        (breaks(httpx.ReadTimeout), Wait),
        (breaks(httpx.ReadError), Wait),
        (breaks(httpx.RemoteProtocolError), Wait),
        (refuses(500, "INTERNAL_SERVER_ERROR"), Retry),
        (refuses(400, "NOT_FOUND", "Item not found"), BpmnError),
        (refuses(400, "", "Access denied"), Fail),
        (refuses(400, "ERROR_CORE", "No such stage<br>"), Fail),
    ],
)
def test_every_trouble_has_its_outcome(answer: Answer, outcome: type[Exception]) -> None:
    assert type(call(portal(Script(answer)))) is outcome


@pytest.mark.parametrize(
    "answer",
    [
        says(502, "<html>"),
        says(200, "<html>"),
        refuses(500, "INTERNAL_SERVER_ERROR"),
        breaks(httpx.ReadTimeout),
        breaks(httpx.ReadError),
    ],
)
def test_what_may_have_been_done_is_not_done_again_unless_it_is_repeatable(answer: Answer) -> None:
    outcome = call(portal(Script(answer)), "crm.item.add", repeatable=False)

    assert isinstance(outcome, Fail)
    assert "Nobody can know" in outcome.reason


@pytest.mark.parametrize("answer", [DOWN, breaks(httpx.ConnectTimeout), refuses(503, "QUERY_LIMIT_EXCEEDED")])
def test_what_was_surely_not_done_waits_even_if_it_is_not_repeatable(answer: Answer) -> None:
    assert isinstance(call(portal(Script(answer)), "crm.item.add", repeatable=False), Wait)


def test_a_missing_item_is_an_error_for_the_process() -> None:
    outcome = call(portal(Script(refuses(400, "", "Not found"))))

    assert outcome == BpmnError("NOT_FOUND", "crm.item.update: Not found")


def test_a_denied_item_names_the_right_that_is_needed() -> None:
    outcome = call(portal(Script(refuses(400, "ACCESS_DENIED", "You may not"))))

    assert "Give the webhook's owner the right" in outcome.reason


def test_the_portals_words_are_shortened() -> None:
    outcome = call(portal(Script(refuses(400, "ERROR_CORE", "word " * 10_000))))

    assert 400 < len(outcome.reason) < 530


def test_a_limit_is_over_in_one_to_three_seconds() -> None:
    outcome = call(portal(Script(refuses(503, "QUERY_LIMIT_EXCEEDED"))))

    assert 1 <= outcome.delay <= 3


def test_a_parked_method_waits_until_its_time_is_free_again() -> None:
    clock = Clock()
    busy = says(200, {"result": 1, "time": {"operating_reset_at": clock.now + 200}})
    given = portal(Script(busy, refuses(429, "OPERATION_TIME_LIMIT")), clock)
    call(given)

    assert 200 <= call(given).delay <= 220


def test_a_parked_method_of_which_nothing_is_known_waits_a_minute() -> None:
    assert 60 <= call(portal(Script(refuses(429, "OPERATION_TIME_LIMIT")))).delay <= 66


def test_only_the_parked_method_is_held_back() -> None:
    script = Script(refuses(429, "OPERATION_TIME_LIMIT"), OK)
    given = portal(script)
    call(given, "crm.item.update")

    assert isinstance(call(given, "crm.item.update"), Wait)
    assert call(given, "crm.item.get") == {"item": {"id": 1}}
    assert len(script.asked) == 2


def test_a_blocked_portal_is_left_alone_for_five_minutes() -> None:
    clock = Clock()
    script = Script(refuses(503, "OVERLOAD_LIMIT"), OK)
    given = portal(script, clock)
    assert 300 <= call(given).delay <= 330

    clock.now += 299
    assert isinstance(call(given, "user.get"), Wait)
    assert len(script.asked) == 1


def test_a_wrong_secret_is_asked_about_every_ten_seconds_and_logged_once(lines: list[str]) -> None:
    clock = Clock()
    script = Script(refuses(401, "NO_AUTH_FOUND", "Wrong authorization data"))
    given = portal(script, clock)
    outcomes = [call(given) for _ in range(5)]
    clock.now += 12
    call(given)

    assert len(script.asked) == 2
    assert all("WEBHOOK_CAREX" in each.reason and 10 <= each.delay <= 16 for each in outcomes)
    assert [line.partition(":")[0] for line in lines] == ["ERROR Bitrix24"]


def test_recovery_is_logged_and_ends_the_waiting(lines: list[str]) -> None:
    clock = Clock()
    given = portal(Script(refuses(401, "NO_AUTH_FOUND"), OK), clock)
    call(given)
    clock.now += 61

    assert call(given) == {"item": {"id": 1}}
    assert lines[-1].strip() == "INFO Bitrix24: the portal works again."


def test_a_short_outage_costs_about_a_second() -> None:
    assert 0.5 <= call(portal(Script(DOWN))).delay <= 1.5


def test_a_long_outage_is_asked_about_every_ten_seconds_at_most() -> None:
    clock = Clock()
    script = Script(DOWN)
    given = portal(script, clock)
    call(given)
    clock.now += 600

    assert 4 <= call(given).delay <= 10
    assert "has not answered since" in call(given).reason
    assert len(script.asked) == 2


def test_single_failures_between_answers_hold_nothing_back() -> None:
    clock = Clock()
    script = Script(DOWN, OK, DOWN, OK)
    given = portal(script, clock)
    call(given)
    call(given)
    clock.now += 600

    assert 0.5 <= call(given).delay <= 1.5
    assert call(given) == {"item": {"id": 1}}


@pytest.mark.parametrize("answer", [refuses(500, "X"), refuses(400, "X")])
def test_a_portal_that_refuses_is_not_silent(answer: Answer) -> None:
    clock = Clock()
    given = portal(Script(DOWN, answer, DOWN), clock)
    call(given)
    call(given)
    clock.now += 600

    assert 0.5 <= call(given).delay <= 1.5


def test_tasks_do_not_come_back_all_at_once() -> None:
    given = portal(Script(refuses(401, "NO_AUTH_FOUND")))

    assert len({call(given).delay for _ in range(200)}) >= 4


def test_a_few_come_back_soon_and_thousands_over_half_a_minute() -> None:
    given = portal(Script(refuses(401, "NO_AUTH_FOUND")), Clock())
    call(given)

    delays = [call(given).delay for _ in range(3000)]

    assert max(delays[:20]) < 11.5
    assert 38 < max(delays) < 43
    assert sum(delay < 20 for delay in delays) < 1200


@pytest.mark.parametrize(("method", "scope"), [("user.get", "user_brief"), ("tasks.task.get", "task"), ("im.x", "im")])
def test_a_missing_permission_is_named(method: str, scope: str) -> None:
    given = portal(Script(refuses(403, "insufficient_scope")))

    assert f"lacks the permission (scope) {scope}: add it" in call(given, method).reason


def test_without_a_webhook_everything_waits() -> None:
    given = Portal(Settings(), transport=httpx.MockTransport(Script(OK)))

    assert call(given).reason == "WEBHOOK_CAREX is not set"


def test_a_renamed_portal_is_followed_once_and_remembered(lines: list[str]) -> None:
    script = Script(says(302, "", location="https://new.example/rest/1/s3cr3tw0rd/crm.item.update"), OK)
    given = portal(script)

    assert call(given) == {"item": {"id": 1}}
    call(given)
    assert [asked.url.host for asked in script.asked] == ["portal.example", "new.example", "new.example"]
    assert {asked.method for asked in script.asked} == {"POST"}
    assert script.asked[1].content == script.asked[0].content
    assert "moved to https://new.example:" in lines[0]


@pytest.mark.parametrize("answer", [DOWN, says(200, "<title>Welcome to the hotel</title>")])
def test_a_new_address_that_is_no_portal_is_not_remembered(answer: Answer) -> None:
    script = Script(says(302, "", location="https://new.example/"), answer, OK)
    given = portal(script)
    call(given)
    call(given)

    assert [asked.url.host for asked in script.asked] == ["portal.example", "new.example", "portal.example"]


@pytest.mark.parametrize(
    "location",
    [
        "https://portal.example/auth/?backurl=1",
        "https://login.example/auth/",
        "http://new.example/rest/1/x/",
        "https://me@new.example/rest/1/x/",
        "ftp://new.example/",
        "/login",
        "",
    ],
)
def test_a_redirect_that_is_no_renaming_gets_nothing(location: str) -> None:
    script = Script(says(302, "", location=location))

    outcome = call(portal(script))

    assert "redirects to another page" in outcome.reason
    assert len(script.asked) == 1


def test_a_redirect_to_nonsense_is_an_outage() -> None:
    assert isinstance(call(portal(Script(says(302, "", location="https://[broken")))), Wait)


def test_errors_are_counted_until_they_are_drained() -> None:
    given = portal(Script(DOWN, OK, refuses(400, "ERROR_CORE")))
    call(given)
    call(given)
    call(given)

    assert given.drain_counters() == {"bitrix_errors": 2.0}
    assert given.drain_counters() == {"bitrix_errors": 0.0}
