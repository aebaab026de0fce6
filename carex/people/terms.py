"""What is agreed with an employee, as `carex users set` takes it: `weight=2 schedule="mon-fri 9-18" daily_cap=20`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from carex.errors import UsageError
from carex.people.schedule import parse_schedule, parse_time_zone
from carex.people.until import parse_until
from carex.people.user import one_line

NOTHING = {"", "none", "no", "-", "нет"}
HIGHEST = 1_000_000


def parse_terms(words: Iterable[str], now: float) -> dict[str, Any]:
    """The columns of the table `users` that `key=value` words change. Raises `UsageError` for a bad one."""
    terms: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        name = key.strip().lower().replace("-", "_")
        name = OTHER_NAMES.get(name, name)
        if not equals or name not in TERMS:
            near = get_close_matches(name, TERMS, 1)
            raise UsageError(
                f"{word[:60]!r} is nothing to set.",
                f"Did you mean {near[0]}=…?" if near and equals else f"There are: {', '.join(TERMS)}, as in weight=2.",
            )
        terms["paused_until" if name == "paused" else name] = TERMS[name](text.strip(), now)
    if not terms:
        raise UsageError("Nothing to set.", f"There are: {', '.join(TERMS)}, as in weight=2.")
    return terms


def _weight(text: str, now: float) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise UsageError(f"{text[:40]!r} is no weight.", "A weight is a number such as 1, 2 or 0.5.")
    return float(text)


def _cap(text: str, now: float) -> int | None:
    if text.lower() in NOTHING:
        return None
    if not re.fullmatch("[0-9]{1,7}", text) or int(text) > HIGHEST:
        raise UsageError(f"{text[:40]!r} is no limit.", "A limit is a whole number, or none.")
    return int(text)


def _schedule(text: str, now: float) -> str:
    if text.lower() in NOTHING:
        return ""
    parse_schedule(text)
    return one_line(text)


def _time_zone(text: str, now: float) -> str:
    if text.lower() in NOTHING:
        return ""
    parse_time_zone(text)
    return text


def _departments(text: str, now: float) -> str:
    if text.lower() in NOTHING:
        return ""
    return ",".join(dict.fromkeys(one_line(name) for name in text.split(",") if name.strip()))


def _paused(text: str, now: float) -> float | None:
    if text.lower() in NOTHING:
        return None
    until = parse_until(text, now)
    if until <= now:
        raise UsageError(f"paused={text[:40]} is in the past.")
    return until


TERMS: dict[str, Callable[[str, float], Any]] = {
    "weight": _weight,
    "schedule": _schedule,
    "time_zone": _time_zone,
    "daily_cap": _cap,
    "hourly_cap": _cap,
    "open_cap": _cap,
    "departments": _departments,
    "paused": _paused,
}
OTHER_NAMES = {"timezone": "time_zone", "tz": "time_zone", "department": "departments", "pause": "paused"}
