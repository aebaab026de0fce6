"""Who gets which work: the rules of the installation, as `carex.toml` has them under [people]."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any

from carex.people.holidays import NO_HOLIDAYS, Holidays
from carex.people.schedule import Schedule, parse_schedule, parse_time_zone
from carex.people.strategies import OWNERS, parts_of
from carex.people.user import User

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
COMPARISON = re.compile(rf"(>=|<=|>|<)\s*({NUMBER.pattern})")
COMPARE: Mapping[str, Callable[[float, float], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}
RANGE = re.compile(rf"({NUMBER.pattern})\.\.({NUMBER.pattern})")


@dataclass(frozen=True)
class Pool:
    """A group of employees, and the work that is theirs: where every condition of `when` holds."""

    name: str = ""
    when: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[int, ...] = ()
    departments: tuple[str, ...] = ()
    strategy: str = "random"
    fallback: int | None = None
    """Who gets the work while nobody of the pool can; without one the work waits."""

    def takes(self, facts: Mapping[str, Any]) -> bool:
        return all(matches(condition, facts.get(name)) for name, condition in self.when.items())

    def has(self, user: User) -> bool:
        """Without members and departments a pool is everybody."""
        if not self.members and not self.departments:
            return True
        wanted = {name.casefold() for name in self.departments}
        return user.id in self.members or not wanted.isdisjoint(name.casefold() for name in user.departments)


@dataclass(frozen=True)
class Rules:
    """What holds for every decision. `sources` are what the portal is asked about the employees."""

    strategy: str = "random"
    fallback: int | None = None
    pools: Sequence[Pool] = ()
    sources: Sequence[str] = ()
    when_unknown: str = "open"
    """A source cannot be asked: `open` takes everybody for available, `closed` nobody."""
    schedule: str = ""
    time_zone: str = ""
    holidays: Holidays = NO_HOLIDAYS

    def pool(self, facts: Mapping[str, Any]) -> Pool:
        """The first pool that takes work with these facts; else everybody, under the name ''."""
        return next((pool for pool in self.pools if pool.takes(facts)), self.everybody())

    def everybody(self) -> Pool:
        """Who gets what no pool takes."""
        return Pool(strategy=self.strategy, fallback=self.fallback)

    def fallback_of(self, pool: Pool) -> int | None:
        return pool.fallback if pool.fallback is not None else self.fallback

    def wanted(self) -> frozenset[str]:
        """The facts about the work that the rules ask for."""
        strategies = [self.strategy, *(pool.strategy for pool in self.pools)]
        owners = {OWNERS} if any("sticky" in parts_of(each) for each in strategies) else set()
        return frozenset(owners | {name for pool in self.pools for name in pool.when})

    def zone(self, user: User | None = None) -> ZoneInfo | None:
        """The time zone of an employee, or of the installation. None: the machine's."""
        return parse_time_zone((user.time_zone if user else "") or self.time_zone)

    def hours(self, user: User) -> Schedule:
        return parse_schedule(user.schedule or self.schedule)


def matches(condition: Any, value: Any) -> bool:
    """Whether a fact is as a rule wants it.

    A list: any of them. Text: the same without regard to case, a pattern with * as in "web*", a comparison as in
    ">=100000", "!= spam", or a range as in "100..200". A fact that is not known is only ever unequal.
    """
    if isinstance(condition, (list, tuple)):
        return any(matches(each, value) for each in condition)
    if isinstance(value, (list, tuple)):
        return any(matches(condition, each) for each in value)
    wanted = str(condition).strip()
    if wanted.startswith("!="):
        return not matches(wanted[2:], value)
    if value is None:
        return False
    number = _number(value)
    compared, span = COMPARISON.fullmatch(wanted), RANGE.fullmatch(wanted)
    if compared:
        return number is not None and COMPARE[compared[1]](number, float(compared[2]))
    if span:
        return number is not None and float(span[1]) <= number <= float(span[3])
    if number is not None and NUMBER.fullmatch(wanted):
        return number == float(wanted)
    return fnmatchcase(str(value).strip().casefold(), wanted.casefold())


def _number(value: Any) -> float | None:
    """A number, also one in text as the portal writes it: "100000.00"."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value).strip()
    return float(text) if NUMBER.fullmatch(text) else None
