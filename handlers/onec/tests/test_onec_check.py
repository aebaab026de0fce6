"""What `carex doctor` says of 1C."""

import asyncio
from typing import Any

import pytest
from carex_onec.check import check
from carex_onec.simulator import Publication


def findings(connect: Any, base: Publication, **more: Any) -> list[Any]:
    async def scenario() -> Any:
        async with connect(base, **more) as infobase:
            return await check(infobase)

    return asyncio.run(scenario())


def test_an_infobase_that_is_well_is_described(shop: Any, connect: Any) -> None:
    (odata, open_line) = findings(connect, shop(), url="http://1c.example/base")

    assert (odata.text, odata.fix) == (
        "OData at http://1c.example/base has 3 entities for Обмен; sessions are kept",
        "",
    )
    assert "unencrypted" in open_line.text


@pytest.mark.parametrize(
    ("behaviour", "more", "said"),
    [
        ({}, {"password": "x-y-z"}, "plugins.onec.user"),
        ({"odata": False}, {}, "plugins.onec.url"),
        ({"licences": 0}, {}, "licence"),
        ({}, {"ping": "no/such"}, "no/such"),
    ],
)
def test_what_is_wrong_is_found_with_a_fix(shop: Any, connect: Any, behaviour: Any, more: Any, said: str) -> None:
    found = findings(connect, shop(**behaviour), url="https://1c.example/base", **more)

    assert said in found[0].text
    assert found[0].fix


def test_who_only_has_http_services_is_well(shop: Any, connect: Any) -> None:
    found = findings(connect, shop(odata=False), url="https://1c.example/base", ping="carex/v1/ping")

    assert [each.fix for each in found] == ["", ""]


def test_nothing_is_found_where_nothing_is_set_up(shop: Any, connect: Any) -> None:
    base = shop()

    assert findings(connect, base, url=None) == []
    assert base.log == []
