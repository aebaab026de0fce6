"""What `carex doctor` hears from a portal."""

import asyncio

import pytest
from carex_bitrix24 import Settings, open_portal
from carex_bitrix24.check import check
from carex_bitrix24.simulator import Portal, serve
from carex_bitrix24.simulator.faults import Fault
from carex_bitrix24.simulator.portal import WEBHOOK_CODE

from carex import Finding


def ask(portal: Portal) -> list[Finding]:
    async def main() -> list[Finding]:
        async with serve(portal) as url, open_portal(Settings.model_validate({"webhook": url})) as client:
            return await check(client)

    return asyncio.run(main())


def test_a_portal_that_is_well_says_whose_webhook_it_is_and_its_limits() -> None:
    found = ask(Portal())

    assert [each.fix for each in found] == ["", ""]
    assert "accepts the webhook of" in found[0].text
    assert found[-1].text == "calls keep to 2 requests a second, and 50 at once after a pause"


def test_a_webhook_without_a_needed_scope_is_named_and_one_without_others_is_told() -> None:
    portal = Portal()
    portal.scopes = {"user", "im"}

    found = ask(portal)

    assert [each.text for each in found if each.fix] == [
        "the webhook lacks the scope crm: everything about deals and other items"
    ]
    (without,) = (each.text for each in found if each.text.startswith("scopes that it does without"))
    assert "calendar" in without
    assert "user_brief" not in without


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("error", code="INVALID_CREDENTIALS", status=401), "WEBHOOK_CAREX"),
        (Fault("error", code="PORTAL_DELETED", status=403), "the portal was deleted"),
        (Fault("html_502"), "502"),
    ],
)
def test_a_webhook_that_is_not_accepted_is_one_finding_without_the_secret(fault: Fault, says: str) -> None:
    portal = Portal()
    portal.faults.add(fault)

    (found,) = ask(portal)

    assert says in found.text
    assert found.fix
    assert WEBHOOK_CODE not in found.text + found.fix


def test_nothing_is_found_where_no_portal_is_set() -> None:
    async def main() -> list[Finding]:
        async with open_portal(Settings()) as client:
            return await check(client)

    assert asyncio.run(main()) == []
