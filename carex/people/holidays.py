"""Days on which nobody's shift begins, kept in a file that a person can type."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from carex.errors import ConfigError

LONGEST = 366
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{2})\.([0-9]{2})\.([0-9]{4})")
YEARLY = re.compile(r"([0-9]{2})-([0-9]{2})")
HINT = "Make this file, one day a line as in 2026-05-01, or take people.holidays out of carex.toml."


@dataclass(frozen=True)
class Holidays(Container[date]):
    days: frozenset[date] = frozenset()
    yearly: frozenset[tuple[int, int]] = frozenset()
    """(month, day) of what comes every year."""
    working: frozenset[date] = frozenset()
    """Days that are none although they come every year."""

    def __contains__(self, day: object) -> bool:
        if not isinstance(day, date) or day in self.working:
            return False
        return day in self.days or (day.month, day.day) in self.yearly


NO_HOLIDAYS = Holidays()


def read_holidays(file: Path) -> Holidays:
    """Read one day a line: `2026-01-01`, `01.01.2026`, `2026-01-01..2026-01-08`, `05-09` for every year, `!2026-05-09`
    for none after all; then a name, if you like. # begins a comment. Raises `ConfigError` naming the bad line.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"people.holidays: {file} cannot be read: {reason}.", HINT) from None
    days: set[date] = set()
    yearly: set[tuple[int, int]] = set()
    working: set[date] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].split(maxsplit=1)[:1]
        try:
            for each in word:
                every_year = YEARLY.fullmatch(each)
                if every_year:
                    leap = date(2000, int(every_year[1]), int(every_year[2]))
                    yearly.add((leap.month, leap.day))
                elif each.startswith("!"):
                    working.update(_days(each[1:]))
                else:
                    days.update(_days(each))
        except ValueError:
            raise ConfigError(
                f"{file}, line {number}: {word[0][:40]!r} is not a day.", "Write 2026-01-01, or 01-01 for every year."
            ) from None
    return Holidays(frozenset(days), frozenset(yearly), frozenset(working))


def _days(text: str) -> Iterator[date]:
    first, dots, last = text.partition("..")
    start = _date(first)
    end = _date(last) if dots else start
    if not 0 <= (end - start).days <= LONGEST:
        raise ValueError(text)
    return (start + timedelta(days=ahead) for ahead in range((end - start).days + 1))


def _date(text: str) -> date:
    found = DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return date(*(int(part) for part in (found.group(1, 2, 3) if found[1] else found.group(6, 5, 4))))
