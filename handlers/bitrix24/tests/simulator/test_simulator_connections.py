"""The portal on a real port: gone and back, over TLS, telling others, and slower than its client."""

import asyncio
import ssl

import anyio
import httpx
import pytest
import trustme
from carex_bitrix24.simulator import Fault, Portal, serve

pytestmark = pytest.mark.anyio
GIVE = {"entityTypeId": 2, "id": 7, "fields": {"assignedById": 3}}


async def until(condition):
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_portal_that_is_away_refuses_connections_and_comes_back_as_it_was():
    portal = Portal()
    async with httpx.AsyncClient() as client:
        async with serve(portal) as webhook:
            await client.post(webhook + "crm.item.update", json=GIVE)
        with pytest.raises(httpx.ConnectError):
            await client.get(webhook + "profile")
        async with serve(portal, port=httpx.URL(webhook).port) as again:
            answer = await client.post(again + "crm.item.get", json=GIVE)
    assert again == webhook
    assert answer.json()["result"]["item"]["assignedById"] == 3


async def test_over_tls_the_portal_may_insist_on_it():
    authority = trustme.CA()
    there, here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(there)
    authority.configure_trust(here)
    async with serve(Portal(require_https=True), tls=there) as webhook, httpx.AsyncClient(verify=here) as client:
        assert webhook.startswith("https://")
        assert (await client.get(webhook + "profile")).is_success


@pytest.mark.parametrize("kind", ["late", "slow"])
async def test_a_call_is_carried_out_though_its_client_has_left(kind):
    portal = Portal()
    portal.faults.add(Fault(kind, seconds=0.2))
    async with serve(portal) as webhook, httpx.AsyncClient(timeout=0.05) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(webhook + "crm.item.update", json=GIVE)
        await until(lambda: portal.ledger.people(2, 7) == [3])


async def test_events_are_posted_while_the_portal_runs():
    portal, listener = Portal(), Portal()
    async with serve(listener) as there, serve(portal):
        portal.subscribe(there + "no.such.method")
        portal.add_item(2, 7)
        await until(lambda: portal.events.posted)
    assert portal.events.posted == {("ONCRMDEALADD", "404"): 1}
    assert [asked.method for asked in listener.ledger.log] == ["no.such.method"]
