"""Turns, weights and caps over many processes, some of them killed; and decisions made again from what was kept."""

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from carex import Task, Wait
from carex.database import read
from carex.people import Directory, Pool, Rules, open_people
from carex.people.ledger import Decision, decision_of, find
from carex.people.strategies import choose

WORK = """
import asyncio, os, pathlib, signal, sys
from carex import Task, Wait
from carex.people import Rules, open_people

async def main(file, strategy, first, last, killed_at):
    people = open_people(pathlib.Path(file), rules=Rules(strategy=strategy))
    async def one(n):
        try:
            await people.decide(Task("assign", id=f"task-{n}"), f"deal:{n}")
        except Wait:
            pass
    for n in range(int(first), int(last), 5):
        if n == int(killed_at):  # in the midst of deciding
            asyncio.get_running_loop().call_later(0.001, os.kill, os.getpid(), signal.SIGKILL)
        await asyncio.gather(*(one(each) for each in range(n, min(n + 5, int(last)))))
    await people.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "people.db"
    directory = Directory(file)
    for id in range(1, 8):
        directory.add(id, f"Employee {id}")
    directory.close()
    return file


def start(file: Path, strategy: str, first: int, last: int, killed_at: int = -1) -> "subprocess.Popen[bytes]":
    arguments = map(str, [file, strategy, first, last, killed_at])
    return subprocess.Popen([sys.executable, "-c", WORK, *arguments])


def ended(process: "subprocess.Popen[bytes]") -> int:
    return process.wait(timeout=100)


def ledger(file: Path) -> list[Decision]:
    """The decisions, oldest first."""
    rows = read(file, lambda connection: find(connection, {}))
    return [decision_of(row, reused=row["reused_from"] is not None) for row in reversed(rows)]


def spread(decisions: list[Decision]) -> int:
    """The most that anybody ever had more than anybody else."""
    counts = Counter(dict.fromkeys(range(1, 8), 0))
    widest = 0
    for decision in decisions:
        counts[decision.user_id] += 1
        widest = max(widest, max(counts.values()) - min(counts.values()))
    return widest


def test_eight_processes_take_turns_as_one_although_some_are_killed(file):
    kills = {0: 20, 100: 150, 200: 270}
    processes = [start(file, "round_robin", first, first + 100, kills.get(first, -1)) for first in range(0, 800, 100)]
    assert [ended(process) for process in processes] == [-signal.SIGKILL] * 3 + [0] * 5
    assert 500 < len(ledger(file)) < 800
    again = [start(file, "round_robin", first, first + 100) for first in kills]
    assert [ended(process) for process in again] == [0, 0, 0]
    decisions = ledger(file)
    assert len(decisions) == len({each.entity for each in decisions}) == 800
    assert spread(decisions) == 1


def test_caps_hold_when_many_processes_decide_at_once(file):
    directory = Directory(file)
    for id in range(1, 8):
        directory.set(id, {"daily_cap": 10, "hourly_cap": 8} if id > 3 else {"daily_cap": 5})
    directory.close()
    processes = [start(file, "random", first, first + 30) for first in range(0, 180, 30)]
    assert [ended(process) for process in processes] == [0] * 6
    assert Counter(each.user_id for each in ledger(file)) == {1: 5, 2: 5, 3: 5, 4: 8, 5: 8, 6: 8, 7: 8}


def test_weights_are_kept_over_thousands_of_decisions_by_several_callers(tmp_path: Path):
    file = tmp_path / "people.db"
    directory = Directory(file)
    for id in (1, 2, 3):
        directory.add(id, f"Employee {id}")
        directory.set(id, {"weight": float(id)})
    directory.close()

    async def scenario() -> None:
        callers = [open_people(file, rules=Rules(strategy="weighted")) for _ in range(3)]
        for n in range(0, 6000, 300):
            await asyncio.gather(*(callers[m % 3].decide(Task("assign"), f"deal:{m}") for m in range(n, n + 300)))
        for people in callers:
            await people.close()

    asyncio.run(scenario())
    shares = Counter(each.user_id for each in ledger(file))
    assert [round(shares[id] / 1000, 2) for id in (1, 2, 3)] == [1.0, 2.0, 3.0]


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def play(file: Path):
    def play(scenario, clock=time.time, **rules):  # type: ignore[no-untyped-def]
        async def run() -> None:
            people = open_people(file, clock=clock, rules=Rules(**rules))
            try:
                await scenario(people)
            finally:
                await people.close()

        asyncio.run(run())

    return play


def test_each_pool_has_turns_of_its_own(play):
    pools = [Pool("big", {"amount": ">9"}, strategy="round_robin"), Pool("small", strategy="round_robin")]

    async def facts(wanted):  # type: ignore[no-untyped-def]
        return {"amount": 10}

    async def scenario(people):  # type: ignore[no-untyped-def]
        big = [await people.decide(Task("assign"), f"deal:{n}", facts=facts) for n in range(2)]
        small = [await people.decide(Task("assign"), f"deal:{n}") for n in range(2, 4)]
        assert [(each.pool, each.user_id) for each in [*big, *small]] == [
            ("big", 1),
            ("big", 2),
            ("small", 1),
            ("small", 2),
        ]

    play(scenario, pools=pools)


def test_what_an_owner_gets_costs_nobody_a_turn(play):
    owners: list[int] = []

    async def facts(wanted):  # type: ignore[no-untyped-def]
        return {"owners": owners}

    async def scenario(people):  # type: ignore[no-untyped-def]
        first = await people.decide(Task("assign"), "deal:1", facts=facts)
        owners.append(2)
        kept = [await people.decide(Task("assign"), f"deal:{n}", facts=facts) for n in (2, 3)]
        owners.clear()
        after = await people.decide(Task("assign"), "deal:4", facts=facts)
        assert [first.user_id, *(each.user_id for each in kept), after.user_id] == [1, 2, 2, 2]
        assert [first.chosen_by, kept[0].chosen_by] == ["round_robin", "sticky"]

    play(scenario, strategy="sticky, round_robin")


def test_a_daily_cap_begins_anew_at_midnight_on_the_employees_wall(file, play):
    directory = Directory(file)
    for id in range(2, 8):
        directory.exclude(id)
    directory.set(1, {"daily_cap": 1, "time_zone": "Asia/Vladivostok"})
    directory.close()
    clock = Clock(1_795_355_000.0)  # 2026-11-22 23:43 in Vladivostok

    async def scenario(people):  # type: ignore[no-untyped-def]
        await people.decide(Task("assign"), "deal:1")
        with pytest.raises(Wait, match="1 daily_cap"):
            await people.decide(Task("assign"), "deal:2")
        clock.now += 20 * 60
        assert (await people.decide(Task("assign"), "deal:2")).user_id == 1

    play(scenario, clock)


def test_with_nobody_on_the_work_waits_until_the_shift_begins(play):
    clock = Clock(1_795_330_680.0)  # Sunday, 2026-11-22 09:58 in Moscow

    async def scenario(people):  # type: ignore[no-untyped-def]
        task = Task("assign")
        with pytest.raises(Wait, match="7 off_shift; the next shift begins Sun 10:00") as held:
            await people.decide(task, "deal:1")
        while clock.now < 1_795_330_800.0:
            clock.now += held.value.delay
        assert (await people.decide(task, "deal:1")).user_id == 1
        assert clock.now - 1_795_330_800.0 < 60

    play(scenario, clock, strategy="round_robin", schedule="sun 10-12", time_zone="Europe/Moscow")


@pytest.mark.parametrize(("change", "name"), [({}, "Employee 4"), ({"active": 0}, None)])
def test_the_fallback_gets_what_nobody_can_unless_they_have_left(file, play, change, name):
    directory = Directory(file)
    directory.set(4, change)
    directory.close()

    async def scenario(people):  # type: ignore[no-untyped-def]
        if name is None:
            with pytest.raises(Wait, match="nobody available"):
                await people.decide(Task("assign"), "deal:1")
            return
        decision = await people.decide(Task("assign"), "deal:1")
        again = await people.decide(Task("assign"), "deal:1")
        assert (decision.user_id, decision.user_name, decision.strategy) == (4, name, "fallback")
        assert (again.user_id, again.reused) == (4, True)
        assert len(decision.skipped) == 7

    play(scenario, Clock(1_795_330_680.0), fallback=4, schedule="mon 10-12", time_zone="Europe/Moscow")


def test_without_a_fallback_there_is_none(play):
    async def scenario(people):  # type: ignore[no-untyped-def]
        with pytest.raises(Wait, match="nobody available in the pool night: none of its members"):
            await people.decide(Task("assign"), "deal:1")

    play(scenario, pools=[Pool("night", members=(99,))], fallback=None)


def test_a_strategy_whose_plugin_is_missing_makes_the_work_wait_and_not_fail(play):
    async def scenario(people):  # type: ignore[no-untyped-def]
        with pytest.raises(Wait, match="'by_moon' is not a strategy"):
            await people.decide(Task("assign"), "deal:1")

    play(scenario, strategy="sticky, by_moon")


def test_chance_is_foretold_by_a_copy(file, play, tmp_path):
    from carex.people.rehearsal import copy_people

    copy_people(file, tmp_path / "copy.db")

    async def scenario() -> list[int]:
        found = []
        for path in (file, tmp_path / "copy.db"):
            people = open_people(path)
            found.append([(await people.decide(Task("assign"), f"deal:{n}")).user_id for n in range(30)])
            await people.close()
        assert found[0] == found[1]
        return found[0]

    assert len(set(asyncio.run(scenario()))) > 3


CALLS = some.lists(
    some.tuples(
        some.sampled_from(["random", "round_robin", "weighted", "least_loaded", "sticky, weighted"]),
        some.lists(some.integers(1, 9), max_size=2),
        some.integers(1, 7),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CALLS)
def test_every_decision_can_be_made_again_from_what_was_stored(tmp_path_factory, calls):
    file = tmp_path_factory.mktemp("people") / "people.db"
    directory = Directory(file)
    for id in range(1, 8):
        directory.add(id, f"Employee {id}")
        directory.set(id, {"weight": id / 3})

    async def scenario() -> None:
        people = open_people(file, rules=Rules(pools=[Pool("any", strategy="sticky")]))
        for n, (strategy, owners, away) in enumerate(calls):
            directory.exclude(away)

            async def facts(wanted, owners=owners):  # type: ignore[no-untyped-def]
                return {"owners": owners}

            await people.decide(Task("assign"), f"deal:{n}", strategy=strategy, facts=facts)
            directory.include(away)
        await people.close()

    asyncio.run(scenario())
    directory.close()
    kept = ledger(file)
    assert [choose(each.strategy, each.inputs)[:3] for each in kept] == [
        (each.user_id, each.chosen_by, each.note) for each in kept
    ]
    assert len(kept) == len(calls)
