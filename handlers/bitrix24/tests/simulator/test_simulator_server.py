"""The portal on a real port, and as a process of its own."""

import asyncio
import json
import logging
import signal
import sys

import httpx
import pytest
from carex_bitrix24.simulator import Fault, Portal, serve

pytestmark = pytest.mark.anyio
GIVE = {"entityTypeId": 2, "id": 7, "fields": {"assignedById": 3}}


async def test_a_portal_answers_on_a_free_port():
    async with serve(Portal()) as webhook, httpx.AsyncClient() as client:
        answer = await client.post(webhook + "crm.item.update", json=GIVE)
    assert answer.json()["result"]["item"]["assignedById"] == 3


async def test_two_portals_run_in_one_loop():
    async with serve(Portal()) as one, serve(Portal()) as other, httpx.AsyncClient() as client:
        assert one != other
        assert (await client.get(one + "profile")).is_success
        assert (await client.get(other + "profile")).is_success


@pytest.mark.parametrize(
    ("kind", "error", "people"),
    [("reset_before", httpx.ReadError, []), ("answer_lost", httpx.RemoteProtocolError, [3])],
)
async def test_a_real_connection_is_really_cut(kind, error, people):
    portal = Portal()
    portal.faults.add(Fault(kind, count=1))
    async with serve(portal) as webhook, httpx.AsyncClient() as client:
        with pytest.raises(error):
            await client.post(webhook + "crm.item.update", json=GIVE)
        assert portal.ledger.people(2, 7) == people
        assert (await client.post(webhook + "crm.item.update", json=GIVE)).is_success


async def test_a_slow_answer_does_not_outlive_its_client(caplog):
    portal = Portal()
    portal.faults.add(Fault("slow", seconds=60.0))
    async with serve(portal) as webhook, httpx.AsyncClient() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(webhook + "crm.item.update", json=GIVE, timeout=0.2)
    assert portal.ledger.people(2, 7) == [3]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_portal_leaves_the_signals_of_its_host_alone():
    before = signal.getsignal(signal.SIGTERM)
    async with serve(Portal()):
        assert signal.getsignal(signal.SIGTERM) is before


async def test_a_process_tells_its_addresses_and_ends_on_sigterm(tmp_path):
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"items": [{"entityTypeId": 2, "id": 5, "fields": {"title": "Из файла"}}]}))
    command = ["-m", "carex_bitrix24.simulator", "--latency", "0", "--employees", "3", "--scenario", str(scenario)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        async with httpx.AsyncClient() as client:
            item = (await client.post(said["webhook"] + "crm.deal.get", json={"id": 5})).json()["result"]
            state = (await client.get(said["admin"] + "/state")).json()
        assert (item["TITLE"], len(state["employees"])) == ("Из файла", 3)
    finally:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 20)
    assert code == 0
