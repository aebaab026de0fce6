"""A working week as people write it, `mon-fri 09:00-18:00, sat 10:00-14:00`, and whether somebody is at work by it.

Hours are what the clock on the wall shows, so that a change to summer time moves nobody's day. A shift that ends
before it begins goes on into the next day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from carex.errors import UsageError
from carex.people.holidays import Holidays

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DAYS = {
    name: number
    for names in (("mon", "tue", "wed", "thu", "fri", "sat", "sun"), ("пн", "вт", "ср", "чт", "пт", "сб", "вс"))
    for number, name in enumerate(names)
}
SHORT = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY = {"daily", "ежедневно"}
AROUND_THE_CLOCK = {"always", "24/7", "всегда"}
HOURS = re.compile(r"([01]?[0-9]|2[0-4])(?::([0-5][0-9]))?[-–]([01]?[0-9]|2[0-4])(?::([0-5][0-9]))?")
DAY_MINUTES = 24 * 60
LOOK_AHEAD = 400
"""Days to search for the next shift: further away there is none."""


@dataclass(frozen=True)
class Shift:
    """Minutes after midnight of the weekday (Monday is 0) on which it begins; over 1440 is the next day."""

    weekday: int
    start: int
    end: int


@dataclass(frozen=True)
class Schedule:
    """No shifts at all: at work around the clock, and on holidays too."""

    shifts: tuple[Shift, ...] = ()

    def is_on(self, now: float, zone: ZoneInfo | None, holidays: Holidays) -> bool:
        """Whether a shift is on at this Unix time. A holiday has no shifts that begin on it."""
        if not self.shifts:
            return True
        local = datetime.fromtimestamp(now, zone)
        minute, weekday = local.hour * 60 + local.minute, local.weekday()
        for shift in self.shifts:
            days_ago = (weekday - shift.weekday) % 7  # since its day; over midnight it may still be on a day later
            began = days_ago <= 1 and shift.start <= minute + days_ago * DAY_MINUTES < shift.end
            if began and local.date() - timedelta(days=days_ago) not in holidays:
                return True
        return False

    def next_start(self, now: float, zone: ZoneInfo | None, holidays: Holidays) -> float | None:
        """The Unix time at which the next shift begins; None if none does within a year."""
        today = datetime.fromtimestamp(now, zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(LOOK_AHEAD)):
            starts = [_at(day, shift.start, zone) for shift in self.shifts if shift.weekday == day.weekday()]
            later = [start for start in starts if start > now]
            if later and day not in holidays:
                return min(later)
        return None


@lru_cache(maxsize=1024)
def parse_schedule(text: str) -> Schedule:
    """Read `mon-fri 09:00-18:00, sat 10:00-14:00`, `daily 9-21`, `пн,ср 22:00-06:00` or `always`.

    Raises `UsageError` saying what is wrong with it.
    """
    words = re.findall(r"[^\s,;]+", text.lower())
    if not words or (len(words) == 1 and words[0] in AROUND_THE_CLOCK):
        return Schedule()
    shifts: list[Shift] = []
    days: list[int] = []
    fresh = False  # the days are named before their hours; a day after hours begins a new group
    for word in words:
        hours = HOURS.fullmatch(word)
        if hours is None:
            days = _days(word, text) + (days if fresh else [])
            fresh = True
        elif not days:
            raise _unreadable(text, f"{word} has no days before it")
        else:
            start, end = _hours(hours, text)
            shifts += [Shift(day, start, end) for day in days]
            fresh = False
    if fresh:
        raise _unreadable(text, "the last days have no hours")
    return Schedule(tuple(sorted(set(shifts), key=lambda shift: (shift.weekday, shift.start, shift.end))))


def parse_time_zone(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; '' is the machine's own, None. Raises `UsageError` if there is no such zone."""
    return _zone(name) if name else None


def clock_time(at: float, zone: ZoneInfo | None) -> str:
    """A moment within the coming week as a person says it: `Mon 09:00`."""
    local = datetime.fromtimestamp(at, zone)
    return f"{SHORT[local.weekday()]} {local:%H:%M}"


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(
            f"{name[:40]!r} is not a time zone.", "Write it as in Europe/Moscow or Asia/Yekaterinburg."
        ) from None


def _at(day: date, minute: int, zone: ZoneInfo | None) -> float:
    return datetime.combine(day, time(minute // 60, minute % 60), zone).timestamp()


def _days(word: str, text: str) -> list[int]:
    if word in EVERY_DAY:
        return list(range(7))
    first, dash, last = word.replace("–", "-").partition("-")
    try:
        start, end = _day(first), _day(last) if dash else _day(first)
    except KeyError:
        raise _unreadable(text, f"{word!r} is neither days nor hours") from None
    return [(start + step) % 7 for step in range((end - start) % 7 + 1)]


def _day(name: str) -> int:
    """`mon`, `monday`; in Russian only the two letters."""
    return DAYS[name if name in DAYS else name[:3] if name.endswith("day") else name]


def _hours(found: re.Match[str], text: str) -> tuple[int, int]:
    start = int(found[1]) * 60 + int(found[2] or 0)
    end = int(found[3]) * 60 + int(found[4] or 0)
    if start >= DAY_MINUTES or end > DAY_MINUTES or start == end:
        raise _unreadable(text, f"{found[0]} is no span of hours")
    return start, end if end > start else end + DAY_MINUTES


def _unreadable(text: str, why: str) -> UsageError:
    return UsageError(
        f"The schedule {text[:60]!r} cannot be read: {why}.",
        "Write it as in 'mon-fri 09:00-18:00, sat 10:00-14:00', 'daily 22:00-06:00' or 'always'.",
    )
