"""Who gets what nobody can, and what is not even asked for while nobody can be chosen."""

import asyncio
from collections import Counter

import pytest

from carex import Task, Wait
from carex.people import Directory, Rules, open_people
from carex.testing import Clock

SUNDAY = 1_795_330_680.0  # 2026-11-22 09:58 in Moscow
CLOSED = Rules(strategy="round_robin", fallback=2, schedule="mon 10-12", time_zone="Europe/Moscow")


@pytest.fixture
def clock() -> Clock:
    return Clock(SUNDAY)


@pytest.fixture
def directory(tmp_path, clock):
    directory = Directory(tmp_path / "people.db", clock=clock)
    for id, name in ((1, "Anna"), (2, "Boris")):
        directory.add(id, name)
    yield directory
    directory.close()


@pytest.fixture
def play(tmp_path, clock, directory):
    def run(scenario, rules=CLOSED, **more):  # type: ignore[no-untyped-def]
        async def whole() -> None:
            people = open_people(tmp_path / "people.db", clock=clock, rules=rules, **more)
            try:
                await scenario(people)
            finally:
                await people.close()

        asyncio.run(whole())

    return run


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"daily_cap": 1}, "daily_cap 1 of 1"),
        ({"hourly_cap": 1}, "hourly_cap 1 of 1"),
        ({"paused_until": SUNDAY + 60}, "paused until"),
        ({"active": 0}, "inactive in the portal"),
    ],
)
def test_no_fallback_goes_over_a_cap_or_a_pause(play, directory, terms, why):
    async def scenario(people):  # type: ignore[no-untyped-def]
        assert (await people.decide(Task("assign"), "deal:1")).user_id == 2
        directory.set(2, terms)
        with pytest.raises(Wait, match=f"nobody available: .*; the fallback Boris: {why}"):
            await people.decide(Task("assign"), "deal:2")

    play(scenario)


def test_many_at_once_never_take_the_fallback_over_the_cap(play, directory):
    directory.set(2, {"daily_cap": 3})

    async def scenario(people):  # type: ignore[no-untyped-def]
        tasks = [people.decide(Task("assign"), f"deal:{n}") for n in range(10)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert Counter(type(each) for each in found)[Wait] == 7

    play(scenario)


def test_who_is_not_in_the_directory_is_nobodys_fallback(play):
    async def scenario(people):  # type: ignore[no-untyped-def]
        with pytest.raises(Wait, match="; the fallback 99 is not in the directory"):
            await people.decide(Task("assign"), "deal:1")
        assert await people.decisions() == []

    play(scenario, Rules(fallback=99, schedule="mon 10-12", time_zone="Europe/Moscow"))


def test_while_nobody_can_be_chosen_that_is_known_without_the_facts(play, directory):
    directory.set(2, {"daily_cap": 0})

    async def scenario(people):  # type: ignore[no-untyped-def]
        with pytest.raises(Wait, match="2 off_shift"):
            await people.anybody(Task("assign"), "deal:1")

    play(scenario)


def test_what_is_decided_already_waits_for_nobody(play, directory):
    async def scenario(people):  # type: ignore[no-untyped-def]
        task = Task("assign")
        await people.decide(task, "deal:1")
        directory.set(2, {"daily_cap": 1})
        await people.anybody(task, "deal:1")
        with pytest.raises(Wait):
            await people.anybody(Task("assign"), "deal:2")

    play(scenario)


def test_a_source_that_says_all_are_away_is_asked_before_the_facts_are(play):
    async def away(ids, now):  # type: ignore[no-untyped-def]
        return dict.fromkeys(ids, "absent")

    async def scenario(people):  # type: ignore[no-untyped-def]
        people.sources["absence"] = away
        with pytest.raises(Wait, match="2 absent"):
            await people.anybody(Task("assign"), "deal:1")

    play(scenario, Rules(sources=["absence"]))


def _raises(situation):  # type: ignore[no-untyped-def]
    raise ValueError("no moon tonight")


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (_raises, "'moon' failed: ValueError: no moon tonight"),
        (lambda situation: 77, "'moon' chose 77, who is no candidate"),
        (lambda situation: ["1"], "'moon' chose .* who is no candidate"),
    ],
    ids=["raises", "a stranger", "a list"],
)
def test_a_plugins_strategy_that_fails_makes_the_work_wait_with_the_reason(play, strategy, said):
    async def scenario(people):  # type: ignore[no-untyped-def]
        with pytest.raises(Wait, match=said):
            await people.decide(Task("assign"), "deal:1")

    play(scenario, Rules(strategy="moon"), strategies={"moon": strategy})


def test_who_comes_back_gets_at_most_twice_the_share_of_the_others(play, directory, clock):
    for id in (3, 4, 5):
        directory.add(id, f"Employee {id}")
    directory.set(1, {"paused_until": SUNDAY + 3600})

    async def scenario(people):  # type: ignore[no-untyped-def]
        for n in range(360):
            await people.decide(Task("assign"), f"deal:{n}")
        clock.advance(7200)
        after = [await people.decide(Task("assign"), f"deal:{n}") for n in range(1000, 1060)]
        given = Counter(each.user_id for each in after)
        assert max(given[id] for id in (2, 3, 4, 5)) - min(given[id] for id in (2, 3, 4, 5)) <= 1
        assert 1.7 <= given[1] / given[2] <= 2.1

    play(scenario, Rules(strategy="least_loaded"))


def test_who_is_even_again_gets_the_share_of_the_others(play, directory, clock):
    directory.set(1, {"paused_until": SUNDAY + 3600})

    async def scenario(people):  # type: ignore[no-untyped-def]
        for n in range(10):
            await people.decide(Task("assign"), f"deal:{n}")
        clock.advance(7200)
        for n in range(100, 150):
            await people.decide(Task("assign"), f"deal:{n}")
        given = Counter(each.user_id for each in await people.decisions())
        assert abs(given[1] - given[2]) <= 1

    play(scenario, Rules(strategy="least_loaded"))
