"""What the portal says about its employees, asked through the real client; and what the rules may ask about a deal."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import httpx
import pytest
from carex_bitrix24 import Settings, open_portal, plugin
from carex_bitrix24.client import Portal as Client
from carex_bitrix24.facts import facts_of
from carex_bitrix24.simulator import Portal, serve

from carex import BpmnError, Wait

T = TypeVar("T")
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Europe/Moscow"))
DEAL, CONTACT, COMPANY = 2, 3, 4


def visit(portal: Portal, scenario: Callable[[Client], Awaitable[T]]) -> T:
    async def main() -> T:
        async with serve(portal) as url, open_portal(Settings.model_validate({"webhook": url})) as client:
            return await scenario(client)

    return asyncio.run(main())


def ask(source: str, portal: Portal, ids: list[int], now: datetime = NOON) -> Any:
    return visit(portal, lambda client: plugin.presences[source](client, ids, now))


def test_who_was_dismissed_or_is_nobody_is_inactive() -> None:
    portal = Portal(employees=60)
    portal.set_employee(3, active=False)

    found = ask("active", portal, [*range(1, 56), 999])

    assert found == {3: "inactive in the portal", 999: "inactive in the portal"}


@pytest.mark.parametrize(
    ("absences", "away"),
    [
        ((("2026-11-20", "2026-11-23"),), {2: "absent until 2026-11-23"}),
        ((("2026-11-23", "2026-12-05"),), {2: "absent until 2026-12-05"}),
        ((("2026-11-20", "2026-11-22"), ("2026-11-24", "2026-11-25")), {}),
        ((), {}),
    ],
)
def test_an_absence_counts_on_its_days_and_on_no_others(absences: Any, away: dict[int, str]) -> None:
    portal = Portal()
    portal.set_employee(2, absences=absences)

    assert ask("absence", portal, [1, 2]) == away


@pytest.mark.parametrize(("hour", "away"), [(11, {}), (12, {7: "absent until 2026-11-23"}), (14, {})])
def test_an_absence_of_some_hours_counts_in_these_hours(hour: int, away: dict[int, str]) -> None:
    start, end = (NOON.replace(hour=hour, minute=minute).timestamp() for hour, minute in ((11, 30), (13, 0)))
    entry = {"ACCESSIBILITY": "absent", "DT_SKIP_TIME": "N", "DATE_FROM_TS_UTC": int(start), "DATE_TO_TS_UTC": int(end)}
    busy = {**entry, "ACCESSIBILITY": "busy"}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"result": {"7": [entry], "8": [busy]}})

    async def scenario() -> Any:
        settings = Settings.model_validate({"webhook": "https://portal.example/rest/1/s3cr3tw0rd/"})
        async with Client(settings, transport=httpx.MockTransport(answer)) as client:
            return await plugin.presences["absence"](client, [7, 8, 9], NOON.replace(hour=hour))

    assert asyncio.run(scenario()) == away


@pytest.mark.parametrize(
    ("changes", "away"),
    [
        ({"workday": "OPENED"}, {}),
        ({"workday": "CLOSED"}, {2: "not_clocked_in (closed)"}),
        ({"workday": "EXPIRED"}, {2: "not_clocked_in (expired)"}),
        ({"workday": "PAUSED"}, {2: "paused in the portal"}),
        ({"workday": "CLOSED", "tracked": False}, {}),
    ],
)
def test_the_clock_counts_where_time_is_tracked(changes: dict[str, Any], away: dict[int, str]) -> None:
    portal = Portal()
    portal.set_employee(2, **changes)

    assert ask("clock", portal, [1, 2]) == away


def test_open_deals_are_those_in_progress() -> None:
    portal = Portal()
    for number in range(60):
        portal.add_item(DEAL, 100 + number, assignedById=2)
    portal.add_item(DEAL, 900, assignedById=3, stageId="WON")

    assert ask("open_deals", portal, [2, 3, 4]) == {2: 60, 3: 0, 4: 0}


def test_asking_about_many_costs_few_requests() -> None:
    portal = Portal(employees=60, rate=50, capacity=5)

    assert len(ask("clock", portal, list(range(1, 61)))) == 0
    assert portal.ledger.requests <= 30  # 120 calls


def test_a_missing_right_is_said() -> None:
    portal = Portal()
    portal.scopes = {"crm"}

    with pytest.raises(Wait, match=r"timeman\.settings"):
        ask("clock", portal, [1])


def deal(portal: Portal) -> Portal:
    portal.add_item(COMPANY, 9, assignedById=4)
    portal.add_item(CONTACT, 7, assignedById=3)
    fields = {"opportunity": 5000, "categoryId": 2, "sourceId": "WEB", "contactId": 7, "companyId": 9, "title": "Big"}
    portal.add_item(DEAL, 1, **fields)
    return portal


@pytest.mark.parametrize(
    ("wanted", "facts"),
    [
        ({"pipeline", "amount", "source"}, {"pipeline": 2, "amount": 5000, "source": "WEB"}),
        ({"title"}, {"title": "Big"}),
        ({"owners"}, {"owners": [3, 4]}),
        ({"ufCrmNothing"}, {"ufCrmNothing": None}),
    ],
)
def test_the_wanted_facts_about_a_deal_are_found_out(wanted: set[str], facts: dict[str, Any]) -> None:
    found = visit(deal(Portal()), lambda client: facts_of(client, DEAL, 1, {}, (), frozenset(wanted)))

    assert found == facts


def test_what_is_known_already_is_not_asked_again() -> None:
    portal = deal(Portal())
    item = {"opportunity": "7.00"}

    assert visit(portal, lambda client: facts_of(client, DEAL, 1, item, (), frozenset({"amount"}))) == {
        "amount": "7.00"
    }
    assert portal.ledger.requests == 0


def test_a_contact_that_is_gone_has_no_owner() -> None:
    portal = deal(Portal())
    portal.missing.add((CONTACT, 7))

    assert visit(portal, lambda client: facts_of(client, DEAL, 1, {}, (), frozenset({"owners"}))) == {"owners": [4]}


def test_a_deal_that_is_gone_is_an_error_for_the_process() -> None:
    portal = Portal()
    portal.missing.add((DEAL, 1))

    with pytest.raises(BpmnError, match=r"crm\.item\.get"):
        visit(portal, lambda client: facts_of(client, DEAL, 1, {}, (), frozenset({"amount"})))
