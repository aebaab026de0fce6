"""The client's own transport against a real server: connections that break, and those that are refused."""

import asyncio

import pytest
from carex_openproject import Settings, open_client
from carex_openproject.simulator import Fault, serve

from carex import Wait


def through_the_wire(instance, scenario, **more):
    async def run():
        async with serve(instance) as url:
            settings = Settings.model_validate({"url": url, "token": instance.token, **more})
            async with open_client(settings) as client:
                return await scenario(client)

    return asyncio.run(run())


def test_answers_are_read_compressed(instance):
    for number in range(30):
        instance.add_project(f"Ещё {number}")

    async def scenario(client):
        return [each["name"] async for each in client.pages("projects")]

    assert len(through_the_wire(instance, scenario)) == 31


@pytest.mark.parametrize("method", ["get", "post"])
def test_half_an_answer_is_an_outage(instance, method):
    instance.faults.append(Fault("cut", method.upper(), applied=True))

    async def scenario(client):
        with pytest.raises(Wait) as raised:
            await (client.get("projects") if method == "get" else client.post("projects", {"name": "Twice?"}))
        return raised.value.reason

    assert "the connection broke" in through_the_wire(instance, scenario)
    assert len(instance.projects) == (2 if method == "post" else 1)


def test_an_answer_that_takes_too_long_is_an_outage(instance):
    fault = Fault("late", "POST", applied=True)
    instance.faults.append(fault)

    async def scenario(client):
        with pytest.raises(Wait, match=r"no answer within 0\.2 s"):
            await client.post("projects", {"name": "Late"})
        fault.until.set()

    through_the_wire(instance, scenario, timeout=0.2)
    assert len(instance.projects) == 2


def test_a_refused_connection_is_an_outage(instance, free_port):
    async def scenario():
        settings = Settings.model_validate({"url": f"http://127.0.0.1:{free_port}", "token": "x"})
        async with open_client(settings) as client:
            with pytest.raises(Wait, match="the connection broke"):
                await client.get("projects")

    asyncio.run(scenario())
