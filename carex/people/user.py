"""An employee who can be given work, and when they cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    excluded: bool
    excluded_until: float | None
    """None while excluded: for good."""
    reason: str
    added: float
    last_assigned: float | None
    assignments: int


def barrier(excluded: int, until: float | None, now: float) -> str | None:
    """Why somebody with this exclusion gets no work now, or None if they do."""
    if not excluded:
        return None
    if until is None:
        return "excluded"
    return f"excluded until {written(until)}" if now < until else None


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
