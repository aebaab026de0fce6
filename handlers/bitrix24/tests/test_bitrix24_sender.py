"""How calls are joined and paced. The limits are those of the clock: it stands still unless a test moves it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from carex_bitrix24 import Settings
from carex_bitrix24.client import Portal as Client
from carex_bitrix24.simulator import Fault, Portal

from carex import BpmnError, Fail, Retry, Share, Wait

T = TypeVar("T")
DEAL = 2


def visit(portal: Portal, scenario: Callable[[Client], Awaitable[T]], share: Share | None = None, **more: Any) -> T:
    webhook = f"http://portal/rest/1/{portal.secret}/"
    settings = Settings.model_validate({"webhook": webhook, "requests_per_second": 1000, **more})

    async def main() -> T:
        async with Client(settings, transport=httpx.ASGITransport(portal.asgi()), share=share) as client:
            return await scenario(client)

    return asyncio.run(main())


def give(client: Client, deal: int, user: int = 3, **more: Any) -> Awaitable[Any]:
    asked = {"entityTypeId": DEAL, "id": deal, "fields": {"assignedById": user}}
    return client.call("crm.item.update", asked, **{"repeatable": True, **more})


def give_many(count: int, **more: Any) -> Callable[[Client], Awaitable[list[Any]]]:
    async def scenario(client: Client) -> list[Any]:
        return await asyncio.gather(*(give(client, 1 + n, **more) for n in range(count)), return_exceptions=True)

    return scenario


def fast(**more: Any) -> Portal:
    return Portal(**{"latency": 0.0, "rate": 1000.0, **more})


def test_those_who_wait_go_together() -> None:
    portal = fast()

    results = visit(portal, give_many(120))

    assert [result["item"]["id"] for result in results] == list(range(1, 121))
    assert portal.ledger.requests == 3
    assert [portal.responsible(DEAL, deal) for deal in (1, 60, 120)] == [3, 3, 3]


def test_a_call_that_need_not_wait_goes_alone_and_as_json() -> None:
    portal = fast()

    visit(portal, give_many(1))

    assert portal.ledger.calls["crm.item.update", "OK"] == 1


def test_joining_can_be_switched_off() -> None:
    portal = fast()

    visit(portal, give_many(20), join=False)

    assert portal.ledger.requests == 20


def test_each_gets_its_own_outcome() -> None:
    portal = fast()
    portal.missing.add((DEAL, 2))
    portal.denied.add((DEAL, 3))

    first, second, third, fourth = visit(portal, give_many(4))

    assert (first["item"]["id"], type(second), type(third), fourth["item"]["id"]) == (1, BpmnError, Fail, 4)
    assert portal.ledger.requests == 1


def test_what_a_batch_cannot_carry_goes_beside_it() -> None:
    portal = fast()

    async def scenario(client: Client) -> list[Any]:
        clear = {"entityTypeId": DEAL, "id": 9, "fields": {"title": None}}
        return await asyncio.gather(
            give(client, 1), client.call("crm.item.update", clear, repeatable=True), give(client, 2)
        )

    visit(portal, scenario)

    assert portal.ledger.calls["crm.item.update", "OK"] == 1
    assert portal.ledger.calls["batch", "OK"] == 1


def test_a_method_that_no_batch_takes_is_sent_alone() -> None:
    portal = fast()

    async def scenario(client: Client) -> list[Any]:
        inner = {"halt": 0, "cmd": {"a": "profile"}}
        return await asyncio.gather(give(client, 1), client.call("batch", inner, repeatable=True))

    assert visit(portal, scenario)[1]["result"]["a"]["ID"] == "1"


def test_a_refusal_is_not_the_callers_business_and_slows_everybody_down() -> None:
    portal = fast(capacity=1.0, rate=4.0, refusals_fill=True)
    portal.bucket.take(portal.now())

    results = visit(portal, give_many(30), requests_per_second=4)

    assert [result["item"]["id"] for result in results] == list(range(1, 31))
    assert portal.ledger.refusals <= 2


def test_the_first_request_alone_finds_out_that_others_have_filled_the_bucket() -> None:
    portal = fast(capacity=10.0, rate=4.0, refusals_fill=True, latency=0.05)
    for _ in range(10):
        portal.bucket.take(portal.now())

    visit(portal, give_many(6), join=False, requests_per_second=4)

    assert portal.ledger.refusals <= 2


def test_a_lost_batch_is_lost_for_each_but_only_the_repeatable_come_again() -> None:
    portal = fast()
    portal.faults.add(Fault("html_502", "batch", count=1, applied=True))

    async def scenario(client: Client) -> list[Any]:
        asked = (give(client, deal, repeatable=deal == 1) for deal in (1, 2))
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second = visit(portal, scenario)

    assert isinstance(first, Wait)
    assert isinstance(second, Fail)
    assert "Nobody can know" in second.reason


def test_a_caller_that_looks_first_is_told_to_come_again() -> None:
    portal = fast()
    portal.faults.add(Fault("html_502", count=1, applied=True))

    (outcome,) = visit(portal, give_many(1, repeatable=False, settle=7.0))

    assert (type(outcome), outcome.delay) == (Wait, 7.0)


def test_where_every_call_fails_inside_it_is_an_outage() -> None:
    portal = fast()
    portal.faults.add(Fault("status_500"))

    outcomes = visit(portal, give_many(8), join=False)

    assert [type(each) for each in outcomes] == [Retry] * 4 + [Wait] * 4


def test_one_deals_own_failure_is_not_an_outage_however_often() -> None:
    portal = fast()
    portal.faults.add(Fault("status_500"))

    async def scenario(client: Client) -> list[Any]:
        return [(await asyncio.gather(give(client, 1), return_exceptions=True))[0] for _ in range(8)]

    assert {type(each) for each in visit(portal, scenario)} == {Retry}


def test_a_parked_method_is_parked_in_a_batch_too() -> None:
    portal = fast(operating_limit=1.0, operating_cost={"crm.item.update": 0.6})

    results = visit(portal, give_many(5))

    assert [type(each) for each in results] == [dict, dict, Wait, Wait, Wait]
    assert "OPERATION_TIME_LIMIT" in results[4].reason


def test_where_batches_are_billed_as_one_method_calls_go_alone_when_it_is_used_up() -> None:
    portal = fast(operating_limit=1.0, operating_cost={"crm.item.update": 0.3}, batch_billing="outer")

    async def scenario(client: Client) -> list[Any]:
        return [await give_many(5)(client), await give_many(2)(client)]

    first, second = visit(portal, scenario)

    assert {type(each) for each in [*first, *second]} == {dict}


def test_wrong_settings_stop_everybody_who_shares_the_limits() -> None:
    portal, share = fast(), Share()
    portal.faults.add(Fault("unauthorized"))

    async def scenario(client: Client) -> list[Any]:
        return await give_many(10)(client)

    outcomes = [visit(portal, scenario, share) for _ in range(5)]

    assert {type(each) for some in outcomes for each in some} == {Wait}
    assert portal.ledger.requests == 1


def test_after_an_outage_one_call_goes_first() -> None:
    clock = [1_700_000_000.0]
    portal, share = fast(), Share(clock=lambda: clock[0])
    down = Fault("html_502")
    portal.faults.add(down)
    webhook = f"http://portal/rest/1/{portal.secret}/"
    settings = Settings.model_validate({"webhook": webhook, "requests_per_second": 1000})

    async def scenario() -> list[int]:
        requests = []
        transport = httpx.ASGITransport(portal.asgi())
        async with Client(settings, transport=transport, share=share, clock=lambda: clock[0]) as client:
            for later in (0.0, 6.0, 1.0, 30.0):  # fails; closes; is closed; is asked once
                clock[0] += later
                await give_many(20)(client)
                requests.append(portal.ledger.requests)
            portal.faults.clear()
            clock[0] += 60.0
            results = await give_many(20)(client)
            assert {type(each) for each in results} == {dict}
        return requests

    assert asyncio.run(scenario()) == [1, 2, 2, 3]


def test_not_everybody_in_line_finds_out_that_the_portal_is_away() -> None:
    portal = fast()
    portal.faults.add(Fault("html_502"))

    outcomes = visit(portal, give_many(20), join=False)

    assert {type(each) for each in outcomes} == {Wait}
    assert portal.ledger.requests == 2


def test_a_call_that_is_given_up_under_way_has_perhaps_been_done() -> None:
    portal = fast(latency=0.3)

    async def scenario(client: Client) -> Any:
        task = asyncio.ensure_future(give(client, 1, repeatable=False))
        await asyncio.sleep(0.1)
        task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    outcome = visit(portal, scenario)

    assert isinstance(outcome, Fail)
    assert "given up before the answer came" in outcome.reason


def test_who_would_have_to_wait_for_more_than_a_minute_is_turned_away_at_once() -> None:
    async def scenario(client: Client) -> list[Any]:
        asked = [asyncio.ensure_future(give(client, 1 + n)) for n in range(80)]
        done, rest = await asyncio.wait(asked, return_when=asyncio.FIRST_EXCEPTION)
        for each in rest:
            each.cancel()
        return [each.exception() for each in done if each.exception()]

    outcomes = visit(fast(), scenario, join=False, requests_per_second=0.5, burst=1)

    assert {type(each) for each in outcomes} == {Wait}
    assert "calls wait already" in str(outcomes[0])


# ------------------------------------------------------------------ batch and list


def test_named_calls_go_as_one_request_and_may_build_on_each_other() -> None:
    portal = fast()
    portal.add_item(DEAL, 7, contactId=5)
    portal.missing.add((DEAL, 8))

    async def scenario(client: Client) -> dict[str, Any]:
        return await client.batch(
            {
                "deal": ("crm.item.get", {"entityTypeId": DEAL, "id": 7}),
                "contact": ("crm.item.get", {"entityTypeId": 3, "id": "$result[deal][item][contactId]"}),
                "nobody": ("crm.item.get", {"entityTypeId": DEAL, "id": 8}),
            }
        )

    found = visit(portal, scenario)

    assert found["contact"]["item"]["id"] == 5
    assert isinstance(found["nobody"], BpmnError)
    assert portal.ledger.requests == 1


def test_with_halt_nothing_after_the_first_failure_is_carried_out() -> None:
    portal = fast()
    portal.missing.add((DEAL, 1))

    async def scenario(client: Client) -> dict[str, Any]:
        calls = {f"d{n}": ("crm.item.get", {"entityTypeId": DEAL, "id": n}) for n in (7, 1, 8)}
        return await client.batch(calls, halt=True)

    found = visit(portal, scenario)

    assert (list(found), type(found["d1"])) == (["d7", "d1"], BpmnError)


@pytest.mark.parametrize(
    "calls", [{str(n): ("profile", {}) for n in range(3)}, {f"c{n}": ("profile", {}) for n in range(51)}]
)
def test_a_batch_that_would_go_wrong_is_refused(calls: dict[str, tuple[str, dict[str, Any]]]) -> None:
    with pytest.raises(ValueError, match="calls"):
        visit(fast(), lambda client: client.batch(calls))


@pytest.mark.parametrize("by", [None, "id"])
@pytest.mark.parametrize("count", [0, 1, 50, 120])
def test_a_list_is_read_to_its_end(count: int, by: str | None) -> None:
    portal = fast(auto_create=False)
    for number in range(1, count + 1):
        portal.add_item(DEAL, number)

    async def scenario(client: Client) -> list[int]:
        asked = {"entityTypeId": DEAL, "select": ["id"]}
        return [row["id"] async for row in client.list("crm.item.list", asked, within="items", by=by)]

    assert visit(portal, scenario) == list(range(1, count + 1))


def test_a_limit_in_the_midst_of_a_list_loses_no_row() -> None:
    portal = fast(auto_create=False, capacity=2.0, rate=20.0, refusals_fill=True)
    for number in range(1, 301):
        portal.add_item(DEAL, number)

    async def scenario(client: Client) -> list[int]:
        asked = {"entityTypeId": DEAL, "select": ["id"]}
        return [row["id"] async for row in client.list("crm.item.list", asked, within="items", by="id")]

    assert len(visit(portal, scenario, requests_per_second=20)) == 300


def test_a_list_whose_pages_repeat_is_given_up() -> None:
    def same(request: httpx.Request) -> httpx.Response:
        rows = [{"id": number} for number in range(1, 51)]
        assert json.loads(request.content)["start"] == -1
        return httpx.Response(200, json={"result": {"items": rows}})

    async def scenario() -> int:
        settings = Settings.model_validate({"webhook": "https://portal.example/rest/1/s3cr3t/"})
        async with Client(settings, transport=httpx.MockTransport(same)) as client:
            return len([row async for row in client.list("crm.item.list", {}, within="items", by="id")])

    with pytest.raises(Fail, match="the same page again"):
        asyncio.run(scenario())
