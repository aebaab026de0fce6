"""Lengths of time as people write them: `30s`, `15m`, `2h`, `3d`."""

from __future__ import annotations

import re

from carex.errors import UsageError

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(text: str) -> float:
    """The seconds in `15m`, `1.5h` or, without a unit, `30`. Raises UsageError for anything else."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw]?)", text.strip())
    if not found:
        raise UsageError(f"{text[:40]!r} is not a length of time.", "Write 30s, 15m, 2h or 3d.")
    return float(found[1]) * UNITS[found[2]]
