"""The deal's way, end to end: robot → serve → queue → worker → portal. The portal's own ledger is the judge."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Installation, RedisServer, SimulatedPortal

PEOPLE = 8


def test_a_robots_call_gives_the_deal_and_its_contact_to_one_available_person(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    bitrix = portal()
    installation.run("users", "exclude", "3")
    _, address = installation.serve()
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


@pytest.mark.parametrize("deals", [2, pytest.param(100, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])])
def test_five_hundred_parallel_calls_for_one_deal_are_one_task(
    deals: int, either: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    bitrix = portal("--rate", "1000", "--capacity", "1000")
    _, address = either.serve()
    either.worker()

    async def calls(deal: int) -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=30) as client:
            called = (client.post(f"{address}/CarexRandom?deal_id={deal}&cont_id=") for _ in range(500))
            return await asyncio.gather(*called)

    for deal in range(1, deals + 1):
        answers = asyncio.run(calls(deal))
        assert {answer.status_code for answer in answers} <= {200, 202}
        assert len({answer.json()["task_id"] for answer in answers}) == 1
        assert sum(not answer.json().get("duplicate") for answer in answers) == 1
    eventually(lambda: len(either.entries("done")) == deals)
    assert [len(people) for people in bitrix.responsible().values()] == [1] * deals
    assert len(either.decisions()) == deals


def test_the_random_choice_is_even(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    deals = 3000
    bitrix = portal("--rate", "100000", "--capacity", "100000")
    _, address = installation.serve()
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
    _, address = installation.serve()
    installation.worker()
    id = httpx.post(f"{address}/CarexRandom?deal_id=5").json()["task_id"]
    eventually(lambda: "nobody available" in httpx.get(f"{address}/tasks/{id}").json()["reason"])
    assert bitrix.responsible() == {}
    installation.run("users", "include", "4")
    eventually(lambda: bitrix.responsible().get(5) == {4})


@pytest.mark.parametrize(
    ("deals", "kills"),
    [(400, 6), pytest.param(10_000, 40, marks=[pytest.mark.chaos, pytest.mark.timeout(900)])],
)
def test_kills_and_a_faulty_portal_lose_no_deal_and_give_none_to_two(
    deals: int, kills: int, either: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    """Workers are killed at random while the portal is slow, fails, and loses answers after it has acted on them."""
    either.env["CAREX_QUEUE__LEASE"] = "2"
    either.env["CAREX_PLUGINS__BITRIX24__JOIN"] = "false"  # one by one, there is always something at work
    bitrix = portal("--rate", "150", "--capacity", "300", "--latency", "0.15")
    for kind, probability in (("answer_lost", 0.1), ("html_502", 0.05), ("status_500", 0.05), ("reset_before", 0.05)):
        bitrix.fault(kind=kind, method="crm.item.update", probability=probability)
    server, address = either.serve()
    workers = [either.worker(), either.worker()]
    accepted: set[int] = set()
    struck = 0
    for kill in range(kills):
        batch = range(deals * kill // kills + 1, deals * (kill + 1) // kills + 1)
        if kill == kills // 2:
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            server, address = either.serve(int(address.rpartition(":")[2]))
        accepted |= asyncio.run(_pour(address, batch))
        victim = random.randrange(2)
        eventually(either.running_at(workers[victim]), what="a worker at work")
        os.kill(workers[victim].pid, signal.SIGKILL)
        struck += len(either.running_at(workers[victim])())
        workers[victim] = either.worker()
    eventually(lambda: accepted <= set(bitrix.responsible()), 60 + deals / 30, f"{deals} deals")
    eventually(lambda: not either.entries("waiting", "running"), 30, "the last settle")
    assert struck >= kills
    assert len(accepted) >= deals * 0.9
    assert verdict(accepted, bitrix.responsible()) == "none lost, none given to two"
    assert either.entries("failed") == []


def verdict(deals: set[int], responsible: dict[int, set[int]]) -> str:
    """What the portal's records say about deals that were accepted."""
    lost = len(deals - set(responsible))
    doubled = sum(len(people) > 1 for people in responsible.values())
    return f"{lost or 'none'} lost, {doubled or 'none'} given to two"


@pytest.mark.parametrize("vice", ["lost", "given to two"])
def test_the_same_kills_show_what_a_naive_worker_does(
    vice: str, portal: Callable[..., SimulatedPortal], shared_redis: RedisServer, eventually: Callable[..., Any]
) -> None:
    """The verdict above can be another."""
    bitrix = portal("--rate", "1000", "--capacity", "1000", "--latency", "0.05")
    shared_redis.ask("FLUSHALL")
    deals = set(range(1, 101))
    shared_redis.ask("RPUSH", "deals", *map(str, deals))
    command = [sys.executable, Path(__file__).with_name("naive_worker.py"), shared_redis.url, bitrix.webhook, vice]
    for _ in range(5):
        given = len(bitrix.responsible())
        worker = subprocess.Popen(command)
        eventually(lambda given=given: len(bitrix.responsible()) >= given + 3)
        worker.kill()
        worker.wait()
    worker = subprocess.Popen([*command, "and end"])
    assert worker.wait(60) == 0
    said = verdict(deals, bitrix.responsible())
    assert f"none {vice}" not in said, said


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
