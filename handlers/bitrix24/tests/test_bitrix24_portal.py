"""The client against the simulated portal, over real connections."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from carex_bitrix24 import Settings, open_portal
from carex_bitrix24.client import Portal as Client
from carex_bitrix24.simulator import Fault, Portal, serve

from carex import BpmnError, Fail, Retry, Wait

DEAL = 2
UPDATE = {"entityTypeId": DEAL, "id": 7, "fields": {"assignedById": 3}}


def visit(portal: Portal, scenario: Callable[[Client], Awaitable[Any]], *, timeout: float = 5.0, path: str = "") -> Any:
    async def main() -> Any:
        async with serve(portal) as url:
            settings = Settings(webhook=(path and url.replace(portal.secret, path)) or url, timeout=timeout)
            async with open_portal(settings) as client:
                return await scenario(client)

    return asyncio.run(main())


async def give(client: Client, *, repeatable: bool = True) -> Any:
    """The result, or what was raised."""
    try:
        return await client.call("crm.item.update", UPDATE, repeatable=repeatable)
    except (Wait, Retry, Fail, BpmnError) as outcome:
        return outcome


def broken(kind: str, **more: Any) -> Portal:
    portal = Portal()
    portal.faults.add(Fault(kind, count=1, **more))
    return portal


def test_a_deal_gets_its_person() -> None:
    portal = Portal()

    result = visit(portal, give)

    assert result["item"]["assignedById"] == 3
    assert portal.responsible(DEAL, 7) == 3


def test_a_full_bucket_is_a_short_wait() -> None:
    async def scenario(client: Client) -> list[Any]:
        return [await give(client) for _ in range(4)]

    outcomes = visit(Portal(capacity=2, rate=0.001), scenario)

    assert any(isinstance(each, Wait) and "QUERY_LIMIT_EXCEEDED" in each.reason for each in outcomes)


@pytest.mark.parametrize("kind", ["502", "503", "504", "html", "truncated", "drop_before", "drop_after"])
def test_an_answer_that_goes_wrong_is_a_wait_and_the_repetition_works(kind: str) -> None:
    async def scenario(client: Client) -> tuple[Any, Any]:
        return await give(client), await give(client)

    portal = broken(kind)
    first, second = visit(portal, scenario)

    assert isinstance(first, Wait)
    assert second["item"]["assignedById"] == 3


def test_a_lost_answer_of_a_call_that_must_not_be_repeated_asks_a_person() -> None:
    portal = broken("drop_after")

    outcome = visit(portal, lambda client: give(client, repeatable=False))

    assert isinstance(outcome, Fail)
    assert portal.responsible(DEAL, 7) == 3


def test_an_internal_error_costs_an_attempt() -> None:
    assert isinstance(visit(broken("500"), give), Retry)
