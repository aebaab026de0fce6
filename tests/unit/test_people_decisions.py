import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from carex import Task, Wait
from carex.errors import ConfigError
from carex.people import Directory, People, open_people
from carex.people.strategies import choose

Scenario = Callable[[People], Awaitable[None]]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Draws(random.Random):
    """Draws as told: 0.0 means the first candidate, 0.99 the last one."""

    def __new__(cls, *_: float) -> "Draws":
        return super().__new__(cls)

    def __init__(self, *fractions: float) -> None:
        super().__init__()
        self._fractions = iter(fractions)

    def getrandbits(self, k: int) -> int:
        fraction = next(self._fractions, None)
        assert fraction is not None, "one draw more than expected"
        return int(fraction * 2**k)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(file: Path, clock: Clock):
    """Three employees: 1, 2 and 3."""
    directory = Directory(file, clock=clock)
    for id, name in ((1, "Anna"), (2, "Boris"), (3, "Clara")):
        directory.add(id, name)
    yield directory
    directory.close()


@pytest.fixture
def play(file: Path, clock: Clock, directory: Directory):
    """Run a scenario with people over the three employees."""

    def play(scenario: Scenario, *fractions: float, **options: object) -> None:
        async def run() -> None:
            people = open_people(file, clock=clock, rng=Draws(*fractions), **options)
            try:
                await scenario(people)
            finally:
                await people.close()

        asyncio.run(run())

    return play


def test_the_same_task_gets_the_same_person_even_if_excluded_meanwhile(play, directory, clock):
    async def scenario(people: People) -> None:
        task = Task("assign")
        first = await people.decide(task, "deal:1")
        directory.exclude(first.user_id)
        clock.now += 100_000
        second = await people.decide(task, "deal:1")
        assert (first.user_id, first.reused) == (1, False)
        assert (second.user_id, second.reused, second.id) == (1, True, first.id)

    play(scenario, 0.0)


def test_another_task_about_the_same_entity_reuses_a_fresh_decision(play):
    async def scenario(people: People) -> None:
        first = await people.decide(Task("assign"), "deal:1")
        second = await people.decide(Task("assign"), "deal:1")
        assert (second.user_id, second.round, second.reused) == (first.user_id, 1, True)
        assert [each.reused for each in await people.decisions(entity="deal:1")] == [True, False]

    play(scenario, 0.5)


def test_a_task_keeps_a_reused_decision_after_the_window(play, clock):
    async def scenario(people: People) -> None:
        await people.decide(Task("assign"), "deal:1")
        late = Task("assign")
        await people.decide(late, "deal:1")
        clock.now += 1000
        assert (await people.decide(late, "deal:1")).user_id == 1

    play(scenario, 0.0)


def test_after_the_window_a_new_round_begins(play, clock):
    async def scenario(people: People) -> None:
        await people.decide(Task("assign"), "deal:1")
        clock.now += 300
        second = await people.decide(Task("assign"), "deal:1")
        assert (second.user_id, second.round, second.reused) == (3, 2, False)

    play(scenario, 0.0, 0.99, window=300)


def test_reusing_a_decision_does_not_prolong_its_window(play, clock):
    async def scenario(people: People) -> None:
        await people.decide(Task("assign"), "deal:1")
        clock.now += 200
        await people.decide(Task("assign"), "deal:1")
        clock.now += 200
        assert (await people.decide(Task("assign"), "deal:1")).round == 2

    play(scenario, 0.0, 0.99, window=300)


def test_other_entities_are_decided_on_their_own(play):
    async def scenario(people: People) -> None:
        first = await people.decide(Task("assign"), "deal:1")
        second = await people.decide(Task("assign"), "deal:2")
        assert (first.user_id, second.user_id, second.round) == (1, 3, 1)

    play(scenario, 0.0, 0.99)


def test_asked_for_again_somebody_is_drawn_anew(play):
    async def scenario(people: People) -> None:
        task = Task("assign")
        await people.decide(task, "deal:1")
        second = await people.decide(task, "deal:1", again=True)
        assert (second.user_id, second.round, second.reused) == (3, 2, False)
        assert (await people.decide(task, "deal:1")).user_id == 3

    play(scenario, 0.0, 0.99)


def test_a_retry_of_the_task_that_asked_for_a_new_decision_gets_the_one_it_got(play):
    async def scenario(people: People) -> None:
        await people.decide(Task("assign"), "deal:1")
        task = Task("assign")
        await people.decide(task, "deal:1", again=True)
        retried = await people.decide(task, "deal:1", again=True)
        assert (retried.user_id, retried.round, retried.reused) == (3, 2, True)

    play(scenario, 0.0, 0.99)


def test_who_is_excluded_is_no_candidate_and_the_decision_says_why(play, directory, clock):
    directory.exclude(1)
    directory.exclude(3, until=clock.now + 3600)

    async def scenario(people: People) -> None:
        decision = await people.decide(Task("assign"), "deal:1")
        assert (decision.user_id, decision.user_name, decision.candidates) == (2, "Boris", (2,))
        assert decision.skipped[1] == "excluded"
        assert decision.skipped[3].startswith("excluded until 19")

    play(scenario, 0.99)


def test_an_exclusion_ends_by_itself(play, directory, clock):
    directory.exclude(1, until=clock.now)

    async def scenario(people: People) -> None:
        assert (await people.decide(Task("assign"), "deal:1")).candidates == (1, 2, 3)

    play(scenario, 0.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Directory.exclude, "nobody available: 3 excluded"),
        (Directory.remove, "nobody available: the directory is empty"),
    ],
)
def test_with_nobody_available_the_task_waits_and_nothing_is_stored(play, directory, change, reason):
    for id in (1, 2, 3):
        change(directory, id)

    async def scenario(people: People) -> None:
        with pytest.raises(Wait, match=reason) as raised:
            await people.decide(Task("assign"), "deal:1")
        assert raised.value.delay == 7
        assert await people.decisions() == []

    play(scenario, retry_delay=7)


def test_many_calls_for_one_task_make_one_decision(play):
    async def scenario(people: People) -> None:
        task = Task("assign")
        decisions = await asyncio.gather(*(people.decide(task, "deal:1") for _ in range(200)))
        assert {decision.id for decision in decisions} == {1}
        assert len(await people.decisions()) == 1

    play(scenario, *[0.0, 0.99] * 100)


def test_without_the_ledger_a_retry_may_get_somebody_else(play):
    async def scenario(people: People) -> None:
        task = Task("assign")
        decisions = [await people.decide(task, "deal:1") for _ in range(2)]
        assert [(each.user_id, each.reused) for each in decisions] == [(1, False), (3, False)]

    play(scenario, 0.0, 0.99, ledger=False)


def test_a_choice_can_be_recomputed_from_the_ledger(play):
    async def scenario(people: People) -> None:
        decision = await people.decide(Task("assign"), "deal:1")
        (stored,) = await people.decisions()
        assert choose(stored.strategy, stored.inputs).user_id == decision.user_id == 2

    play(scenario, 0.4)


def test_an_unknown_strategy_is_named_with_those_there_are(play):
    async def scenario(people: People) -> None:
        with pytest.raises(ConfigError, match=r"(?s)'fairest'.*random"):
            await people.decide(Task("assign"), "deal:1", strategy="fairest")

    play(scenario)


def test_decisions_are_found_by_entity_and_by_task_newest_first(play):
    async def scenario(people: People) -> None:
        one, two = Task("assign"), Task("assign")
        await people.decide(one, "deal:1")
        await people.decide(two, "deal:2")
        assert [each.entity for each in await people.decisions()] == ["deal:2", "deal:1"]
        assert [each.task_id for each in await people.decisions(entity="deal:1")] == [one.id]
        assert [each.entity for each in await people.decisions(task_id=two.id)] == ["deal:2"]

    play(scenario, 0.0, 0.0)
