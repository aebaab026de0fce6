"""What a check of `carex doctor` says: one line, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from carex.cli import Root

Level = Literal["ok", "note", "warning", "wrong"]


@dataclass(frozen=True)
class Line:
    """`note` is neither good nor bad, as of what is not set up; a `warning` works, for now. Both others have a fix."""

    level: Level
    text: str
    fix: str = ""


def ok(text: str) -> Line:
    return Line("ok", text)


def note(text: str) -> Line:
    return Line("note", text)


def warning(text: str, fix: str) -> Line:
    return Line("warning", text, fix)


def wrong(text: str, fix: str) -> Line:
    return Line("wrong", text, fix)


Check = Callable[[Root], Iterable[Line]]
"""Looks at one area and changes nothing. A CarexError that it raises is a line too."""
