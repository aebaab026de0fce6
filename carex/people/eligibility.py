"""Who can be given a piece of work now, and why the others cannot: one pure function, asked by everybody.

Each reason begins with its name, so that reasons can be counted: excluded, inactive, paused, wrong_pool, off_shift,
absent, not_clocked_in, unknown, daily_cap, hourly_cap, open_cap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from carex.people.rules import Pool, Rules
from carex.people.schedule import clock_time
from carex.people.user import User, barrier

LASTING = frozenset({"excluded", "inactive", "paused", "absent"})
"""Reasons for which somebody is not given again what they were chosen for a moment ago."""
LEFT = frozenset({"excluded", "inactive"})
"""Reasons of a source for which not even a fallback gets anything."""


@dataclass(frozen=True)
class Presence:
    """What the portal said about the employees. A source that could not be asked is in `failed`, with the reason."""

    away: Mapping[int, str] = field(default_factory=dict)
    """Why somebody is not there, the reason's name first."""
    load: Mapping[int, int] = field(default_factory=dict)
    """Open items, those included that were given since."""
    failed: Mapping[str, str] = field(default_factory=dict)
    counts_open: bool = False
    """Whether `load` is what the portal says."""


@dataclass(frozen=True)
class Given:
    """How much somebody has been given: since the beginning of their day, and in the last hour."""

    today: int = 0
    hour: int = 0


def sort_out(
    users: Iterable[User], pool: Pool, rules: Rules, presence: Presence, given: Mapping[int, Given], now: float
) -> tuple[list[User], dict[int, str]]:
    """Those who can be given the pool's work at this Unix time, and the reasons of all others by id."""
    eligible, skipped = [], {}
    for user in users:
        why = why_not(user, pool, rules, presence, given.get(user.id, Given()), now)
        if why is None:
            eligible.append(user)
        else:
            skipped[user.id] = why
    return eligible, skipped


def why_not(user: User, pool: Pool, rules: Rules, presence: Presence, given: Given, now: float) -> str | None:
    """The first thing that speaks against somebody, or None."""
    return (
        barrier(user)
        or (None if pool.has(user) else "wrong_pool")
        or _off_shift(user, rules, now)
        or presence.away.get(user.id)
        or _unknown(rules, presence)
        or _full(user, rules, presence, given)
    )


def why_not_fallback(user: User, rules: Rules, presence: Presence, given: Given) -> str | None:
    """What speaks against giving somebody what nobody else can take. Hours, absence and the pool do not."""
    away = presence.away.get(user.id, "")
    return barrier(user) or (away if name_of(away) in LEFT else None) or _full(user, rules, presence, given)


def name_of(reason: str) -> str:
    """`off_shift` of `off_shift until Mon 09:00`."""
    return reason.partition(" ")[0]


def why_nobody(users: Iterable[User], skipped: Mapping[int, str], pool: Pool, rules: Rules, now: float) -> str:
    """Why nobody can be given the pool's work, in a line: `nobody available: 3 off_shift; the next shift begins …`."""
    where = f" in the pool {pool.name}" if pool.name else ""
    if not skipped:
        return "nobody available: the directory is empty; add people with `carex users add`"
    members = {id: why for id, why in skipped.items() if why != "wrong_pool"}
    if not members:
        return f"nobody available{where}: none of its members is in the directory"
    reasons = ", ".join(f"{count} {name}" for name, count in Counter(map(name_of, members.values())).most_common())
    off = [user for user in users if name_of(members.get(user.id, "")) == "off_shift"]
    starts = [rules.hours(user).next_start(now, rules.zone(user), rules.holidays) for user in off]
    coming = [start for start in starts if start is not None]
    soonest = f"; the next shift begins {clock_time(min(coming), rules.zone())}" if coming else ""
    return f"nobody available{where}: {reasons}{soonest}"


def _full(user: User, rules: Rules, presence: Presence, given: Given) -> str | None:
    return (
        _over("daily_cap", user.daily_cap, given.today)
        or _over("hourly_cap", user.hourly_cap, given.hour)
        or _too_many_open(user, rules, presence)
    )


def _off_shift(user: User, rules: Rules, now: float) -> str | None:
    schedule, zone = rules.hours(user), rules.zone(user)
    if schedule.is_on(now, zone, rules.holidays):
        return None
    start = schedule.next_start(now, zone, rules.holidays)
    if start is None:
        return "off_shift"
    far = start - now > 6 * 86400
    return f"off_shift until {'a later week' if far else clock_time(start, zone)}"


def _unknown(rules: Rules, presence: Presence) -> str | None:
    if rules.when_unknown == "open" or not presence.failed:
        return None
    source, why = next(iter(presence.failed.items()))
    return f"unknown because {source} could not be asked: {why}"


def _too_many_open(user: User, rules: Rules, presence: Presence) -> str | None:
    if presence.counts_open:
        return _over("open_cap", user.open_cap, presence.load.get(user.id, 0))
    closed = rules.when_unknown == "closed" and user.open_cap is not None
    return "unknown because none of people.sources counts open items" if closed else None


def _over(name: str, cap: int | None, count: int) -> str | None:
    return f"{name} {count} of {cap}" if cap is not None and count >= cap else None
