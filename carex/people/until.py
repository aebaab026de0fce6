"""Until when: a date or a length of time, as people write it."""

from __future__ import annotations

import re
from datetime import datetime

from carex.errors import UsageError

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_until(text: str, now: float) -> float:
    """The Unix time meant by `2h`, `3d`, `2026-01-31`, `2026-01-31 18:00` or `31.01.2026`.

    Without an offset a date is local time; without a time of day it is the beginning of that day.
    """
    text = text.strip()
    try:
        length = re.fullmatch(r"([0-9]+)([mhdw])", text)
        if length:
            at = now + int(length[1]) * UNITS[length[2]]
            datetime.fromtimestamp(at)  # further than the calendar goes?
            return at
        iso = re.sub(r"^([0-9]{2})\.([0-9]{2})\.([0-9]{4})", r"\3-\2-\1", text)
        return datetime.fromisoformat(re.sub("Z$", "+00:00", iso)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{text[:40]!r} is not a date or a length of time.",
            "Write 2h, 3d, 2026-01-31, '2026-01-31 18:00' or 31.01.2026.",
        ) from None


def written(at: float) -> str:
    """A Unix time as a date in local time, to the minute."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")
