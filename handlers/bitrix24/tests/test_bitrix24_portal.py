"""The client against the simulated portal, over real connections."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from carex_bitrix24 import Settings, open_portal
from carex_bitrix24.client import Portal as Client
from carex_bitrix24.simulator import Fault, Portal, serve

from carex import BpmnError, Fail, Retry, Wait

T = TypeVar("T")
DEAL = 2
UPDATE = {"entityTypeId": DEAL, "id": 7, "fields": {"assignedById": 3}}
WRONG = "wr0ngs3cr3t"


def visit(portal: Portal, scenario: Callable[[Client], Awaitable[T]], *, secret: str = "", timeout: float = 5.0) -> T:
    async def main() -> T:
        async with serve(portal) as url:
            webhook = url.replace(portal.secret, secret or portal.secret)
            async with open_portal(Settings.model_validate({"webhook": webhook, "timeout": timeout})) as client:
                return await scenario(client)

    return asyncio.run(main())


async def give(client: Client, *, repeatable: bool = True) -> Any:
    """The result, or what was raised."""
    try:
        return await client.call("crm.item.update", UPDATE, repeatable=repeatable)
    except (Wait, Retry, Fail, BpmnError) as outcome:
        return outcome


async def give_twice(client: Client) -> list[Any]:
    return [await give(client), await give(client)]


def with_fault(kind: str, **more: Any) -> Portal:
    portal = Portal()
    portal.faults.add(Fault(kind, count=1, **more))
    return portal


def test_a_deal_gets_its_person() -> None:
    portal = Portal()

    result = visit(portal, give)

    assert result["item"]["assignedById"] == 3
    assert portal.responsible(DEAL, 7) == 3


@pytest.mark.parametrize(
    "kind", ["reset_before", "answer_lost", "html_502", "html_504", "unavailable_503", "truncated"]
)
def test_after_an_answer_that_goes_wrong_the_repetition_works(kind: str) -> None:
    first, second = visit(with_fault(kind), give_twice)

    assert isinstance(first, Wait)
    assert second["item"]["assignedById"] == 3


@pytest.mark.parametrize("kind", ["answer_lost", "truncated"])
def test_a_lost_answer_of_a_call_that_must_not_be_repeated_asks_a_person(kind: str) -> None:
    portal = with_fault(kind)

    outcome = visit(portal, lambda client: give(client, repeatable=False))

    assert isinstance(outcome, Fail)
    assert portal.responsible(DEAL, 7) == 3


def test_a_slow_answer_is_given_up_and_may_have_been_carried_out() -> None:
    outcome = visit(with_fault("slow", seconds=30.0), give, timeout=0.2)

    assert "no answer within 0.2 s" in outcome.reason


def test_a_portal_that_is_not_there_is_a_wait_even_if_the_call_must_not_be_repeated() -> None:
    async def scenario() -> Any:
        async with serve(Portal()) as url:
            pass
        async with open_portal(Settings.model_validate({"webhook": url})) as client:
            return await give(client, repeatable=False)

    outcome = asyncio.run(scenario())

    assert isinstance(outcome, Wait)
    assert "no connection to http://127.0.0.1:" in outcome.reason


def test_a_bucket_that_others_have_filled_is_waited_for() -> None:
    portal = Portal(capacity=1.0, rate=2.0)
    portal.bucket.take(portal.now())

    result = visit(portal, give)

    assert result["item"]["assignedById"] == 3
    assert portal.ledger.refusals >= 1


@pytest.mark.parametrize(
    ("kind", "outcome", "words"),
    [
        ("status_500", Retry, "crm.item.update"),
        ("html_403", Wait, "turns the call away"),
        ("overload", Wait, "OVERLOAD_LIMIT"),
        ("operation_time_limit", Wait, "OPERATION_TIME_LIMIT"),
        ("error_200", Fail, "ERROR_CORE Simulated error"),
        ("unauthorized", Wait, "WEBHOOK_CAREX"),
    ],
)
def test_what_the_portal_says_is_understood(kind: str, outcome: type[Exception], words: str) -> None:
    found = visit(with_fault(kind), give)

    assert type(found) is outcome
    assert words in str(found)


def test_a_wrong_secret_waits_for_a_person_and_is_not_shown(lines: list[str]) -> None:
    outcome = visit(Portal(), give, secret=WRONG)

    assert isinstance(outcome, Wait)
    assert "compare WEBHOOK_CAREX" in outcome.reason
    assert WRONG not in outcome.reason + "".join(lines)


def test_a_missing_deal_is_an_error_for_the_process() -> None:
    outcome = visit(Portal(auto_create=False), give)

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "NOT_FOUND"


def test_a_renamed_portal_is_followed(lines: list[str]) -> None:
    async def scenario() -> tuple[Any, Portal]:
        old, new = Portal(), Portal()
        async with serve(old) as old_url, serve(new) as new_url:
            old.faults.add(Fault("redirect", to=new_url.partition("/rest/")[0]))
            async with open_portal(Settings.model_validate({"webhook": old_url})) as client:
                return await give(client), new

    result, new = asyncio.run(scenario())

    assert result["item"]["assignedById"] == 3
    assert new.responsible(DEAL, 7) == 3
    assert any("has moved" in line for line in lines)


def test_without_a_webhook_the_client_opens_and_every_call_waits() -> None:
    async def scenario() -> Any:
        async with open_portal(Settings()) as client:
            return await give(client)

    assert asyncio.run(scenario()).reason == "WEBHOOK_CAREX is not set"
