"""120 calls at once, on a portal that allows 2 a second after a burst of 50, where refusals count: none is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Installation, SimulatedPortal

CALLS = 120
CALLER = """
import asyncio, sys
from pathlib import Path
from carex.limiter_stores import share_of
from carex_bitrix24 import Settings, open_portal

async def main(webhook, first, count, join, queue, folder):
    share = share_of(queue, Path(folder))
    async with open_portal(Settings(webhook=webhook, join=join == "join"), share) as portal:
        asked = ({"entityTypeId": 2, "id": int(first) + n, "fields": {"assignedById": 3}} for n in range(int(count)))
        await asyncio.gather(*(portal.call("crm.item.update", each, repeatable=True) for each in asked))
    await share.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(params=["sqlite", "redis"])
def queue(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield "sqlite://"
        return
    server = request.getfixturevalue("shared_redis")
    server.ask("FLUSHALL")
    yield server.url


@pytest.mark.parametrize(
    ("join", "seconds"),
    [("join", 5.0), pytest.param("single", 37.0, marks=[pytest.mark.chaos, pytest.mark.timeout(300)])],
)
@pytest.mark.parametrize("processes", [1, 4])
def test_as_many_calls_as_the_portal_allows_and_not_one_more(
    processes: int,
    join: str,
    seconds: float,
    queue: str,
    installation: Installation,
    portal: Callable[..., SimulatedPortal],
    tmp_path: Path,
) -> None:
    bitrix = portal("--refusals-fill")
    each = CALLS // processes
    arguments = [[bitrix.webhook, str(1 + n * each), str(each), join, queue, str(tmp_path)] for n in range(processes)]

    callers = [subprocess.Popen([sys.executable, "-c", CALLER, *words]) for words in arguments]
    codes = [caller.wait(120) for caller in callers]

    changes = [change["at"] for change in bitrix.ledger()["changes"]]
    assert codes == [0] * processes
    assert len(bitrix.responsible()) == CALLS
    assert bitrix.ledger()["refusals"] <= 2
    assert max(changes) - min(changes) <= seconds


def test_deals_come_faster_than_the_portal_takes_requests(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., object]
) -> None:
    """With the bucket of 50 used up, 2 requests a second are enough for 40 deals a second."""
    from carex.task import Task

    bitrix = portal("--refusals-fill", "--capacity", "2")
    installation.env["CAREX_PLUGINS__BITRIX24__BURST"] = "2"
    installation.put(*(Task("bitrix_assign", {"deal_id": number}) for number in range(1, 401)))
    installation.worker()

    eventually(lambda: len(bitrix.responsible()) == 400, 60)

    at = sorted(change["at"] for change in bitrix.ledger()["changes"])
    assert (len(at) - 100) / (at[-1] - at[99]) >= 25  # 40 and more on a machine of its own
    assert [len(people) for people in bitrix.responsible().values()] == [1] * 400
