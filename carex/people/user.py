"""An employee who can be given work, and when they cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carex.database import Row
from carex.errors import UsageError
from carex.people.until import written

LARGEST_ID = 2**63 - 1
"""What an INTEGER of SQLite holds."""


@dataclass(frozen=True)
class User:
    """An employee as they are now: an exclusion that has run out is none. Times are Unix seconds.

    `assignments` counts the decisions for this employee; a decision reused for a second task counts once.
    """

    id: int
    name: str
    excluded: bool = False
    excluded_until: float | None = None
    """None while excluded: for good."""
    reason: str = ""
    added: float = 0.0
    last_assigned: float | None = None
    assignments: int = 0
    active: bool = True
    """In the portal, as of the last `carex users sync`."""
    departments: tuple[str, ...] = ()
    """Names or ids."""
    weight: float = 1.0
    schedule: str = ""
    """Empty: the installation's."""
    time_zone: str = ""
    """Empty: the installation's."""
    daily_cap: int | None = None
    hourly_cap: int | None = None
    open_cap: int | None = None
    paused_until: float | None = None


def user_of(row: Row | Mapping[str, Any], now: float, last_assigned: float | None = None, assignments: int = 0) -> User:
    """The employee in a row of the table `users`."""
    excluded = bool(row["excluded"]) and (row["excluded_until"] is None or now < row["excluded_until"])
    paused = row["paused_until"] is not None and now < row["paused_until"]
    return User(
        id=row["id"],
        name=row["name"],
        excluded=excluded,
        excluded_until=row["excluded_until"] if excluded else None,
        reason=row["reason"] if excluded else "",
        added=row["added"],
        last_assigned=last_assigned,
        assignments=assignments,
        active=bool(row["active"]),
        departments=tuple(name for name in row["departments"].split(",") if name),
        weight=row["weight"],
        schedule=row["schedule"],
        time_zone=row["time_zone"],
        daily_cap=row["daily_cap"],
        hourly_cap=row["hourly_cap"],
        open_cap=row["open_cap"],
        paused_until=row["paused_until"] if paused else None,
    )


def barrier(user: User) -> str | None:
    """Why somebody is kept from all work, whatever it is, or None."""
    if user.excluded:
        return "excluded" if user.excluded_until is None else f"excluded until {written(user.excluded_until)}"
    if not user.active:
        return "inactive in the portal"
    if user.paused_until is not None:
        return f"paused until {written(user.paused_until)}"
    return None


def parse_id(text: str) -> int:
    """An employee's id: a whole number above 0 in plain digits, as the portal shows it."""
    if re.fullmatch("[1-9][0-9]{0,18}", text) and int(text) <= LARGEST_ID:
        return int(text)
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    raise UsageError(f"{shown!r} is not an employee's id.", "An id is a whole number above 0, as the portal shows it.")


def parse_name(text: str) -> str:
    """A name on one line; it may not be empty."""
    name = one_line(text)
    if not name:
        raise UsageError("The name is empty.")
    return name


def one_line(text: str) -> str:
    """The text without needless spaces; nothing in it may be unprintable."""
    line = " ".join(text.split())
    if not line.isprintable():
        raise UsageError(f"{text[:40]!r} has characters that cannot be printed.")
    return line
