"""The stand-in's sessions and licences, and its HTTP service."""

import asyncio

import httpx
import pytest
from carex_onec.simulator import Fault

from carex.testing import Clock

pytestmark = pytest.mark.anyio
PARTNER = "Catalog_Контрагенты"
START = {"IBSession": "start"}


async def test_a_session_is_started_used_and_finished(publish, browse):
    base = publish(licences=1)
    async with browse(base) as http:
        await http.get(f"/{PARTNER}", headers=START)
        await http.get(f"/{PARTNER}")  # the client keeps the cookie
        held = base.seats.in_use
        await http.get("/", headers={"IBSession": "finish"})

    assert (held, base.seats.in_use, base.seats.opened) == (1, 0, 1)


async def test_a_request_without_a_session_has_one_of_its_own(publish, browse):
    base = publish()

    answers = [await browse(base).get(f"/{PARTNER}") for _ in (1, 2)]

    assert [answer.headers.get("set-cookie") for answer in answers] == [None, None]
    assert (base.seats.opened, base.seats.in_use) == (2, 0)


async def test_without_a_free_licence_nobody_gets_in(publish, browse):
    base = publish(licences=1)
    await browse(base).get(f"/{PARTNER}", headers=START)

    another = await browse(base).get(f"/{PARTNER}", headers=START)
    passing = await browse(base).get(f"/{PARTNER}")

    assert (another.status_code, passing.status_code) == (406, 500)
    assert "лицензии" in passing.text


@pytest.mark.parametrize("status", [400, 404, 406, 500])
async def test_an_unused_session_ends_by_itself(publish, browse, status):
    clock = Clock()
    base = publish(dead_session=status, clock=clock)
    async with browse(base) as http:
        await http.get(f"/{PARTNER}", headers=START)
        clock.advance(21)
        answer = await http.get(f"/{PARTNER}")

    assert (answer.status_code, base.seats.in_use) == (status, 0)


async def test_a_session_serves_one_request_at_a_time(publish, browse):
    base = publish()
    running = []

    async def alone():
        assert not running
        running.append(1)
        await asyncio.sleep(0)
        running.pop()

    async with browse(base) as http:
        await http.get(f"/{PARTNER}", headers=START)
        base.hold = alone
        answers = await asyncio.gather(*(http.get(f"/{PARTNER}") for _ in range(5)))

    assert {answer.status_code for answer in answers} == {200}
    assert base.seats.opened == 1


async def test_the_wrong_password_is_refused_with_a_challenge(publish, browse):
    http = browse(publish())

    answer = await http.get(f"/{PARTNER}", headers={"Authorization": "Basic eDp5"})

    assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")


async def test_the_service_answers_with_a_byte_order_mark_and_remembers_keys(publish, browse):
    base = publish()
    body = {"operation": "x", "key": "k", "payload": {}}

    answers = [await browse(base).post("http://1c.example/base/hs/carex/v1/sync", json=body) for _ in (1, 2)]

    assert {answer.content[:3] for answer in answers} == {b"\xef\xbb\xbf"}
    assert answers[0].headers["content-type"].startswith("text/html")
    assert base.calls == [("x", {})]


async def test_faults_come_before_or_after_the_deed(publish, browse):
    base = publish()
    base.faults += [Fault(502, method="POST"), Fault(504, method="POST", applied=True)]

    answers = [await browse(base).post(f"/{PARTNER}", json={}) for _ in (1, 2)]

    assert [answer.status_code for answer in answers] == [502, 504]
    assert len(base.rows(PARTNER)) == 1


async def test_elsewhere_there_is_nothing(publish):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(publish().asgi())) as http:
        assert (await http.get("http://1c.example/other/odata/standard.odata/")).status_code == 404
