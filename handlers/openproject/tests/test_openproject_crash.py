"""A worker that dies while OpenProject is still making something: the next one finds it instead of making another."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import pytest
from carex_openproject.simulator import Fault, serve


@asynccontextmanager
async def carex(home, url, token, *command):
    """The real command in a process of its own, which is gone afterwards."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CAREX_", "REDIS_", "RABBITMQ_"))}
    env |= {"CAREX_PLUGINS__OPENPROJECT__URL": url, "CAREX_PLUGINS__OPENPROJECT__TOKEN": token}
    env |= {"CAREX_PLUGINS__OPENPROJECT__SETTLE": "1"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "carex", "--home", home, *command, env=env)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(condition):
    deadline = asyncio.get_running_loop().time() + 60
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("applied", [True, False])
def test_a_worker_killed_in_the_middle_of_a_creation_leaves_one_work_package(instance, tmp_path, applied):
    fault = Fault("late", "POST", "/work_packages$", applied=applied)
    instance.faults.append(fault)

    async def scenario():
        async with serve(instance) as url:
            given = (tmp_path, url, instance.token)
            async with carex(*given, "send", "op_create_work_package", "project=demo", "subject=Pack") as sent:
                assert await sent.wait() == 0
            async with carex(*given, "worker"):
                await until(lambda: fault.count == 0)
            async with carex(*given, "worker", "--burst") as second:
                await until(lambda: instance.requests("GET", "/work_packages$") == 2)
                fault.until.set()
                return await asyncio.wait_for(second.wait(), 60)

    assert asyncio.run(scenario()) == 0
    assert [each.values["subject"] for each in instance.work_packages.values()] == ["Pack"]
    assert instance.requests("POST", "/work_packages$") == 1
