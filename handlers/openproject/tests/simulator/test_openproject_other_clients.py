"""A client that others wrote reads, makes and changes: a server that only ours can talk to proves little."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from carex_openproject.simulator import serve

PROGRAM = Path(__file__).parent / "other_clients" / "openproject_api_client_program.py"


async def ran(instance):
    """Run the program against the instance and return what it printed."""
    async with serve(instance) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            url,
            instance.token,
            env={**os.environ, "NO_PROXY": "*"},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0
    return json.loads(out)


def test_another_client_gets_along_with_it(instance):
    pytest.importorskip("openproject_api_client")
    for number in range(130):
        instance.add_project(f"P{number}")
        instance.add_work_package(1, f"W{number}", status=12 if number % 2 else 1)

    seen = asyncio.run(ran(instance))

    assert seen == {
        "projects": 131,
        "statuses": ["New", "In progress", "Closed"],
        "types": 3,
        "open": 66,
        "all": 131,
        "in_project": 131,
        "made": ["Новая & новая", "Bug", "Boris Petrov", "Demo", 0],
        "changed": ["Changed", "In progress", 1],
        "comments": ["Hello"],
        "missing": True,
        "stale": "409",
        "unfit": "422",
        "denied": "401",
    }
