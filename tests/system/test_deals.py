"""The deal's way, end to end: robot → serve → queue → worker → portal. The portal's own ledger is the judge."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from carex.people import Directory

if TYPE_CHECKING:
    from conftest import Installation

PEOPLE = 8


class SimulatedPortal:
    """The simulated portal in a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "carex_bitrix24.simulator", "--employees", str(PEOPLE), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        said = json.loads(self.process.stdout.readline())
        self.webhook, self._admin = said["webhook"], said["admin"]

    def fault(self, **fault: Any) -> None:
        httpx.post(f"{self._admin}/faults", json=fault).raise_for_status()

    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self._admin}/ledger", timeout=30).json()
        return found

    def responsible(self, entity_type_id: int = 2) -> dict[int, set[int]]:
        """Who was made responsible for what, through all of time."""
        found: dict[int, set[int]] = {}
        for change in self.ledger()["changes"]:
            if change["entity_type_id"] == entity_type_id and change["field"] == "assignedById":
                found.setdefault(change["item_id"], set()).add(change["new"])
        return found

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def portal(installation: Installation) -> Iterator[Callable[..., SimulatedPortal]]:
    """Start a portal, with the installation pointed at it and its people known."""
    started: list[SimulatedPortal] = []

    def start(*options: str) -> SimulatedPortal:
        started.append(SimulatedPortal(*options))
        installation.env["WEBHOOK_CAREX"] = started[-1].webhook
        directory = Directory(installation.home / "data" / "people.db")
        for number in range(1, PEOPLE + 1):
            directory.add(number, f"Сотрудник {number}")
        directory.close()
        return started[-1]

    yield start
    for each in started:
        each.stop()


def serve(installation: Installation, eventually: Callable[..., Any], port: int = 0) -> tuple[Any, str]:
    """A server that has come up, and its address."""
    process = installation.start("serve", "--port", str(port))
    found = eventually(lambda: re.search(r"http://[\d.]+:\d+", installation.said(process)), what="the server's start")
    return process, found.group()


def test_a_robots_call_gives_the_deal_and_its_contact_to_one_available_person(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    bitrix = portal()
    installation.run("users", "exclude", "3")
    _, address = serve(installation, eventually)
    installation.worker()
    answer = httpx.post(f"{address}/CarexRandom?deal_id=123&cont_id=456")
    assert answer.status_code == 202
    task = eventually(
        lambda: (t := httpx.get(f"{address}/tasks/{answer.json()['task_id']}").json())["state"] == "done" and t
    )
    (person,) = bitrix.responsible()[123]
    assert bitrix.responsible(3)[456] == {person}
    assert person != 3
    assert task["result"]["user_id"] == person


def test_two_hundred_parallel_calls_for_one_deal_are_one_task(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    bitrix = portal()
    _, address = serve(installation, eventually)
    installation.worker()

    async def calls() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=30) as client:
            return await asyncio.gather(*(client.post(f"{address}/CarexRandom?deal_id=7&cont_id=") for _ in range(200)))

    answers = asyncio.run(calls())
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert sum(not answer.json().get("duplicate") for answer in answers) == 1
    eventually(lambda: 7 in bitrix.responsible())
    assert len(bitrix.responsible()[7]) == 1


def test_the_random_choice_is_even(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    deals = 3000
    bitrix = portal("--rate", "100000", "--capacity", "100000")
    _, address = serve(installation, eventually)
    installation.worker()
    accepted = asyncio.run(_pour(address, range(1, deals + 1)))
    assert len(accepted) == deals
    eventually(lambda: len(bitrix.responsible()) == deals, 60)
    shares = Counter(person for people in bitrix.responsible().values() for person in people)
    assert chi_squared_p([shares[person] for person in range(1, PEOPLE + 1)]) >= 0.001


def test_nobody_available_is_a_wait_with_its_reason_until_somebody_is(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    installation.env["CAREX_PEOPLE__RETRY_DELAY"] = "0.3"
    bitrix = portal()
    for number in range(1, PEOPLE + 1):
        assert installation.run("users", "exclude", str(number)).returncode == 0
    _, address = serve(installation, eventually)
    installation.worker()
    id = httpx.post(f"{address}/CarexRandom?deal_id=5").json()["task_id"]
    eventually(lambda: "nobody available" in httpx.get(f"{address}/tasks/{id}").json()["reason"])
    assert bitrix.responsible() == {}
    installation.run("users", "include", "4")
    eventually(lambda: bitrix.responsible().get(5) == {4})


@pytest.mark.parametrize("deals", [400, pytest.param(2500, marks=pytest.mark.chaos)])
def test_kills_and_a_faulty_portal_lose_no_deal_and_give_none_to_two(
    deals: int, installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    """Workers are killed at random while the portal is slow, fails, and loses answers after it has acted on them."""
    bitrix = portal("--rate", "150", "--capacity", "300", "--latency", "0.15")
    for kind, probability in (("answer_lost", 0.1), ("html_502", 0.05), ("status_500", 0.05), ("reset_before", 0.05)):
        bitrix.fault(kind=kind, method="crm.item.update", probability=probability)
    server, address = serve(installation, eventually)
    workers = [installation.worker(), installation.worker()]
    port = int(address.rpartition(":")[2])
    killed = 0
    accepted: set[int] = set()
    for start in range(0, deals, deals // 10):
        batch = range(start + 1, start + deals // 10 + 1)
        if start == deals // 2:
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            server, address = serve(installation, eventually, port)
        accepted |= asyncio.run(_pour(address, batch))
        victim = random.randrange(2)
        os.kill(workers[victim].pid, signal.SIGKILL)
        killed += 1
        workers[victim] = installation.worker()
    eventually(lambda: accepted <= set(bitrix.responsible()), 60, f"{deals} deals")
    eventually(lambda: not installation.entries("waiting", "running"), 30, "the last settle")
    assert killed >= 5
    assert len(accepted) >= deals * 0.9
    assert {deal: people for deal, people in bitrix.responsible().items() if len(people) > 1} == {}
    assert installation.entries("failed") == []


async def _pour(address: str, deals: range) -> set[int]:
    """Send a robot's call for each deal, 20 at a time; return those that were accepted."""
    accepted = set()
    places = asyncio.Semaphore(20)

    async def send(client: httpx.AsyncClient, deal: int) -> None:
        async with places:
            try:
                answer = await client.post(f"{address}/CarexRandom", data={"document_id[2]": f"DEAL_{deal}"})
            except httpx.TransportError:
                return
            if answer.is_success:
                accepted.add(deal)

    async with httpx.AsyncClient(timeout=30) as client:
        await asyncio.gather(*(send(client, deal) for deal in deals))
    return accepted


def chi_squared_p(observed: list[int]) -> float:
    """The probability of a spread at least this uneven if all were equally likely (Wilson–Hilferty's approximation)."""
    expected, freedom = sum(observed) / len(observed), len(observed) - 1
    chi = sum((count - expected) ** 2 / expected for count in observed)
    z = ((chi / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    return 0.5 * math.erfc(z / math.sqrt(2))
