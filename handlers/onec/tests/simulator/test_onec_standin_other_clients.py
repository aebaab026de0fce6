"""Clients that others wrote read and write: a stand-in that only ours can talk to proves little."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from carex_onec.simulator import Entity, Publication, serve

pytestmark = pytest.mark.anyio
PROGRAMS = Path(__file__).parent / "other_clients"


@pytest.fixture
def base():
    # Their clients send names and passwords of Latin letters only.
    base = Publication(
        Entity("Catalog_Контрагенты", {"ИНН": "String(12)"}),
        Entity("Document_Заказ", {"Сумма": "Double"}),
        Entity("Catalog_Items", {}),
        user="exchange",
        password="secret",
    )
    for number in range(1, 6):
        base.add("Catalog_Items", Ref_Key=f"00000000-0000-0000-0000-00000000000{number}", Description=f"item {number}")
    return base


async def ran(base, program):
    async with serve(base) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAMS / program, url, env={**os.environ, "NO_PROXY": "*"}, stdout=asyncio.subprocess.PIPE
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0
    return json.loads(out)


async def test_odata1cw_creates_edits_finds_and_posts(base):
    seen = await ran(base, "odata1cw_program.py")

    assert seen == {"found": ["7701"], "edited": "Новое имя", "posted": True, "unposted": False, "missing": "9"}
    assert base.rows("Catalog_Контрагенты")[0]["Description"] == "Новое имя"


async def test_enterprise_1c_odata_reads_and_learns_about_the_plus(base):
    seen = await ran(base, "enterprise_1c_odata_program.py")

    assert seen == {"page": ["item 3", "item 4"], "plus": "ODataQueryError", "password": "ODataAuthError"}
