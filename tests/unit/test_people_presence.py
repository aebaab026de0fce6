"""What the portal says about the employees: asked once a minute, and what follows when it cannot be asked."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from carex import Task, Wait
from carex.people import Directory, People, Pool, Rules, open_people

Scenario = Callable[[People], Awaitable[None]]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Source:
    """A source that answers as told, and remembers when and about whom it was asked."""

    answer: dict[int, str | int] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[Sequence[int], datetime]] = field(default_factory=list)

    async def __call__(self, ids: Sequence[int], now: datetime) -> Mapping[int, str | int]:
        self.asked.append((ids, now))
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return self.answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def directory(tmp_path: Path, clock: Clock):
    directory = Directory(tmp_path / "people.db", clock=clock)
    for id, name in ((1, "Anna"), (2, "Boris"), (3, "Clara")):
        directory.add(id, name)
    yield directory
    directory.close()


@pytest.fixture
def play(tmp_path: Path, clock: Clock, source: Source, directory: Directory):
    def play(scenario: Scenario, **rules: object) -> None:
        async def run() -> None:
            options = {"sources": ["clock"], "strategy": "round_robin", "time_zone": "Europe/Moscow", **rules}
            people = open_people(tmp_path / "people.db", clock=clock, rules=Rules(**options))  # type: ignore[arg-type]
            people.sources["clock"] = source
            try:
                await scenario(people)
            finally:
                await people.close()

        asyncio.run(run())

    return play


def test_who_is_away_is_no_candidate_and_the_decision_says_so(play, source):
    source.answer = {1: "absent until 2026-12-01", 2: "not_clocked_in (closed)"}

    async def scenario(people: People) -> None:
        decision = await people.decide(Task("assign"), "deal:1")
        assert (decision.user_id, decision.skipped) == (3, source.answer)
        assert decision.inputs.sources == {"clock": "ok"}

    play(scenario)


def test_the_portal_is_asked_once_a_minute_whatever_comes(play, source, clock):
    async def scenario(people: People) -> None:
        await asyncio.gather(*(people.decide(Task("assign"), f"deal:{n}") for n in range(50)))
        clock.now += 59
        await people.decide(Task("assign"), "deal:59")
        assert len(source.asked) == 1
        clock.now += 1
        await people.decide(Task("assign"), "deal:60")
        assert len(source.asked) == 2

    play(scenario)


def test_it_is_asked_about_those_who_matter_in_the_time_zone_of_the_house(play, source, directory):
    directory.exclude(2)

    async def scenario(people: People) -> None:
        await people.decide(Task("assign"), "deal:1")
        ((ids, now),) = source.asked
        assert (list(ids), str(now.tzinfo)) == ([1, 3], "Europe/Moscow")

    play(scenario)


def test_somebody_new_is_asked_about_at_once(play, source, directory):
    async def scenario(people: People) -> None:
        await people.decide(Task("assign"), "deal:1")
        directory.add(4, "Denis")
        await people.decide(Task("assign"), "deal:2")
        assert [list(ids) for ids, _ in source.asked] == [[1, 2, 3], [1, 2, 3, 4]]

    play(scenario)


def test_a_repeated_task_asks_nobody(play, source, clock):
    async def scenario(people: People) -> None:
        task = Task("assign")
        await people.decide(task, "deal:1")
        clock.now += 1000
        source.error = RuntimeError("down")
        assert (await people.decide(task, "deal:1")).reused
        assert len(source.asked) == 1

    play(scenario)


def test_another_process_uses_the_answer_of_the_first(play, source, clock, tmp_path):
    async def scenario(people: People) -> None:
        await people.decide(Task("assign"), "deal:1")
        other = open_people(tmp_path / "people.db", clock=clock, rules=people.rules)
        other.sources["clock"] = source
        await other.decide(Task("assign"), "deal:2")
        await other.close()
        assert len(source.asked) == 1

    play(scenario)


@pytest.mark.parametrize("error", [RuntimeError("down"), Wait("limit reached"), ValueError()])
def test_when_it_cannot_be_asked_everybody_counts_as_there_if_so_wished(play, source, error):
    source.error = error

    async def scenario(people: People) -> None:
        decision = await people.decide(Task("assign"), "deal:1")
        assert decision.candidates == (1, 2, 3)
        assert decision.inputs.sources["clock"] == (str(error) or "ValueError")

    play(scenario, when_unknown="open")


def test_or_nobody_does_and_the_work_waits(play, source, clock):
    source.error = RuntimeError("down")

    async def scenario(people: People) -> None:
        with pytest.raises(Wait, match="nobody available: 3 unknown"):
            await people.decide(Task("assign"), "deal:1")
        source.error = None
        clock.now += 15
        assert (await people.decide(Task("assign"), "deal:1")).user_id == 1

    play(scenario, when_unknown="closed")


def test_a_source_that_no_plugin_offers_cannot_be_asked(play):
    async def scenario(people: People) -> None:
        decision = await people.decide(Task("assign"), "deal:1")
        assert "no plugin here offers it" in decision.inputs.sources["moon"]

    play(scenario, sources=["moon"])


def test_while_nobody_is_there_it_is_asked_more_often(play, source, clock):
    source.answer = dict.fromkeys((1, 2, 3), "not_clocked_in (closed)")

    async def scenario(people: People) -> None:
        with pytest.raises(Wait, match="3 not_clocked_in") as held:
            await people.decide(Task("assign"), "deal:1")
        source.answer = {}
        clock.now += held.value.delay
        assert (await people.decide(Task("assign"), "deal:1")).user_id == 1  # within a minute of somebody's coming
        assert held.value.delay + 15 < 60

    play(scenario)


def test_open_items_count_those_that_were_given_since(play, source, directory):
    source.answer = {1: 2, 2: 0, 3: 1}

    async def scenario(people: People) -> None:
        chosen = [(await people.decide(Task("assign"), f"deal:{n}")).user_id for n in range(6)]
        assert chosen == [2, 3, 2, 1, 3, 2]  # up to three each; of equals, whose turn was longer ago

    play(scenario, strategy="least_loaded")


def test_what_the_portal_has_heard_after_it_was_asked_counts_too(play, source):
    source.answer = {1: 0, 2: 0, 3: 0}

    async def scenario(people: People) -> None:
        for n in range(3):
            await people.told(await people.decide(Task("assign"), f"deal:{n}"), "theirs")
        fourth = await people.decide(Task("assign"), "deal:4")
        assert {id: share.load for id, share in fourth.inputs.candidates.items()} == {1: 1, 2: 1, 3: 1}

    play(scenario, strategy="least_loaded")


def test_what_the_portal_has_heard_before_it_was_asked_is_not_counted_twice(play, source, clock):
    source.answer = {1: 0, 2: 0, 3: 0}

    async def scenario(people: People) -> None:
        first = await people.decide(Task("assign"), "deal:1")
        await people.told(first, "deal 1 is theirs")
        clock.now += 60
        source.answer = {1: 1, 2: 0, 3: 0}
        second = await people.decide(Task("assign"), "deal:2")
        assert (first.user_id, second.user_id) == (1, 2)
        assert {id: share.load for id, share in second.inputs.candidates.items()} == {1: 1, 2: 0, 3: 0}

    play(scenario, strategy="least_loaded")


def test_an_open_cap_is_never_exceeded_by_many_at_once(play, source, directory):
    source.answer = {1: 8, 2: 10, 3: 0}
    for id in (1, 2, 3):
        directory.set(id, {"open_cap": 10})

    async def scenario(people: People) -> None:
        tasks = (people.decide(Task("assign"), f"deal:{n}") for n in range(20))
        found = await asyncio.gather(*tasks, return_exceptions=True)
        chosen = [each.user_id for each in found if not isinstance(each, BaseException)]
        assert (chosen.count(1), chosen.count(2), chosen.count(3)) == (2, 0, 10)
        assert sum(isinstance(each, Wait) for each in found) == 8

    play(scenario)


def test_facts_about_the_work_are_asked_for_only_when_a_rule_wants_them(play):
    asked: list[frozenset[str]] = []

    async def facts(wanted: frozenset[str]) -> Mapping[str, object]:
        asked.append(wanted)
        return {"amount": 5000, "title": "not asked for"}

    async def scenario(people: People) -> None:
        task = Task("assign")
        decision = await people.decide(task, "deal:1", facts=facts)
        await people.decide(task, "deal:1", facts=facts)
        assert (decision.pool, decision.user_id, decision.inputs.facts) == ("big", 3, {"amount": 5000})
        assert asked == [{"amount"}]

    play(scenario, sources=[], pools=[Pool("big", {"amount": ">1000"}, members=(3,), strategy="round_robin")])


def test_when_the_facts_cannot_be_had_nothing_is_decided(play):
    async def facts(wanted: frozenset[str]) -> Mapping[str, object]:
        raise Wait("the portal is down")

    async def scenario(people: People) -> None:
        with pytest.raises(Wait, match="the portal is down"):
            await people.decide(Task("assign"), "deal:1", facts=facts)
        assert await people.decisions() == []

    play(scenario, sources=[], pools=[Pool("big", {"amount": ">1000"})])
