"""Clients that others wrote read lists, run batches and write: a portal that only ours can talk to proves little."""

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path

import pytest
import trustme
from carex_bitrix24.simulator import Portal, serve

pytestmark = pytest.mark.anyio
PROGRAMS = Path(__file__).parent / "other_clients"


@pytest.fixture
def portal():
    portal = Portal(employees=120, auto_create=False)
    for number in range(1, 131):
        portal.add_item(2, number, assignedById=1)
    return portal


async def ran(portal, program, folder):
    """Run a program against the portal, over https as these clients want it, and return what it printed."""
    authority, there = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(there)
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    # Both ways of telling a client whom to trust; a proxy of this machine must not get in between.
    found = {"REQUESTS_CA_BUNDLE": str(trusted), "SSL_CERT_FILE": str(trusted), "NO_PROXY": "*"}
    async with serve(portal, tls=there) as webhook:
        process = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAMS / program, webhook, env={**os.environ, **found}, stdout=asyncio.subprocess.PIPE
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0
    return json.loads(out)


@pytest.mark.parametrize("program", ["fast_bitrix24_program.py", "b24pysdk_program.py"])
async def test_another_client_reads_and_writes(portal, program, tmp_path):
    seen = await ran(portal, program, tmp_path)
    assert (seen["users"], seen["deals"], seen["items"]) == (120, 130, 130)
    assert portal.ledger.shares() == {3: 120}
    assert (portal.ledger.given_to_two(), portal.ledger.refusals) == ({}, 0)
    assert portal.ledger.requests < 40
    assert (seen["one"], seen["batch"]) == ("5", ["5", "1"])
    assert seen["unknown"] == "Not found"
    assert portal.find(2, seen["added"]).values["title"] == "Новая & новая"


async def test_the_vendors_client_speaks_rest_3(portal, tmp_path):
    seen = await ran(portal, "b24pysdk_program.py", tmp_path)
    assert seen["rest3"] == {
        "added": 1,
        "unknown": "BitrixAPIEntityNotFoundException",
        "incomplete": "BitrixAPIValidationRequestValidationException",
    }


async def test_the_vendors_client_names_the_limits(portal, tmp_path):
    seen = await ran(portal, "b24pysdk_limits_program.py", tmp_path)
    assert seen == {"bucket": "BitrixAPIQueryLimitExceeded", "secret": "BitrixOAuthNoAuthFound"}
