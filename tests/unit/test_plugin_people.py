"""Strategies and sources of presence that a plugin brings."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from carex import Choice, Plugin, Situation, Task
from carex.errors import ConfigError
from carex.people import Directory, Rules, open_people
from carex.registry import Registry, load


def plugin() -> Plugin:
    found = Plugin("moon")

    @found.strategy("by_moon")
    def by_moon(situation: Situation) -> Choice | None:
        return Choice(situation.candidates[-1].id, "the moon is full") if situation.facts.get("amount") else None

    @found.presence("tide")
    async def tide(client: Any, ids: Sequence[int], now: datetime) -> Mapping[int, str]:
        return {ids[0]: "absent at sea"}

    return found


class Point(EntryPoint):
    """An entry point that gives a plugin made here."""

    def load(self) -> Plugin:
        return plugin()


def registry(*names: str) -> Registry:
    return load([Point(name, "nowhere:plugin", "carex.handlers") for name in names])


def test_a_registered_strategy_chooses_and_its_words_are_kept(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "people.db")
    for id in (1, 2, 3):
        directory.add(id, f"Employee {id}")
    directory.close()

    async def facts(wanted: frozenset[str]) -> Mapping[str, Any]:
        return {"amount": 5}

    async def scenario() -> None:
        from carex.people import Pool

        rules = Rules(pools=[Pool("rich", {"amount": 5}, strategy="sticky, by_moon")])
        people = open_people(tmp_path / "people.db", rules=rules, strategies=registry("moon").strategies)
        decision = await people.decide(Task("assign"), "deal:1", facts=facts)
        await people.close()
        assert (decision.user_id, decision.chosen_by, decision.note) == (3, "by_moon", "the moon is full")

    asyncio.run(scenario())


def test_the_registry_has_what_the_plugins_bring() -> None:
    assert (list(registry("moon").strategies), list(registry("moon").presences)) == (["by_moon"], ["tide"])


def test_two_plugins_with_one_strategy_are_told_apart() -> None:
    (broken,) = registry("moon", "sun").broken
    assert "belongs to plugin 'moon'" in broken.error


async def waits(situation: Situation) -> None: ...


def hurries(client: Any, ids: Sequence[int], now: datetime) -> Mapping[int, str]:
    return {}


@pytest.mark.parametrize(
    ("kind", "name", "function"),
    [
        ("strategy", "by_moon", lambda situation: None),
        ("strategy", "by moon", lambda situation: None),
        ("strategy", "other", waits),
        ("presence", "tide", waits),
        ("presence", "other", hurries),
    ],
)
def test_a_mistake_is_found_at_import(kind: str, name: str, function: Any) -> None:
    with pytest.raises(ConfigError, match="with a name of its own"):
        getattr(plugin(), kind)(name)(function)
