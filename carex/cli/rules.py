"""The rules by which people are chosen, from the settings; and whoever decides by them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from carex.errors import CarexError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carex.people import People, Rules
    from carex.queue import Queue
    from carex.registry import Registry
    from carex.settings import Settings


def rules_of(settings: Settings) -> Rules:
    """The table [people] as rules. Raises `ConfigError` for a schedule, time zone or list of holidays that is wrong."""
    from carex.people.holidays import NO_HOLIDAYS, read_holidays
    from carex.people.rules import Pool, Rules
    from carex.people.schedule import parse_schedule, parse_time_zone

    people = settings.people
    try:
        parse_schedule(people.schedule)
        parse_time_zone(people.time_zone or "")
    except CarexError as error:
        raise ConfigError(f"people: {error.message}", error.hint) from None
    names = [pool.name for pool in people.pools]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"people.pools: two pools have the name {twice!r}.", "Give each its own.")
    return Rules(
        strategy=people.strategy,
        fallback=people.fallback,
        pools=[
            Pool(
                name=pool.name,
                when=pool.when,
                members=pool.members,
                departments=tuple(str(each) for each in pool.departments),
                strategy=pool.strategy or people.strategy,
                fallback=pool.fallback,
            )
            for pool in people.pools
        ],
        sources=people.sources,
        when_unknown=people.when_unknown,
        schedule=people.schedule,
        time_zone=people.time_zone or "",
        holidays=read_holidays(settings.home / people.holidays) if people.holidays else NO_HOLIDAYS,
    )


def misfits(settings: Settings, registry: Registry) -> Iterator[str]:
    """What the rules name and nobody here offers."""
    from carex.people.doubts import bad_conditions
    from carex.people.strategies import STRATEGIES, check

    rules = rules_of(settings)
    places = {"people": rules.strategy, **{f"the pool {pool.name}": pool.strategy for pool in rules.pools}}
    for place, strategy in places.items():
        try:
            check(strategy, {**STRATEGIES, **registry.strategies})
        except ConfigError as error:
            yield f"{place}: {error}"
    for pool in rules.pools:
        yield from (f"the pool {pool.name}: {text}" for text in bad_conditions(pool.when))
    for source in rules.sources:
        if source not in registry.presences:
            yield f"people.sources: no plugin here offers {source!r}. There are: {', '.join(registry.presences)}."


def doubts(settings: Settings) -> list[str]:
    """What in the rules is allowed, but hardly meant."""
    from carex.people import Directory, User
    from carex.people.doubts import doubts_of

    file, everybody = settings.home / "data" / "people.db", list[User]()
    if file.is_file():
        directory = Directory(file)
        everybody.extend(directory.list())
        directory.close()
    return list(doubts_of(rules_of(settings), everybody))


def people_of(settings: Settings, queue: Queue, registry: Registry) -> People:
    """The employees and the ledger of this home, with the strategies of the plugins."""
    from carex.people import open_people

    return open_people(
        settings.home / "data" / "people.db",
        window=settings.queue.dedupe_window,
        ledger=settings.people.ledger,
        retry_delay=settings.people.retry_delay,
        register=partial(queue.own, "people"),
        rules=rules_of(settings),
        strategies=registry.strategies,
    )
