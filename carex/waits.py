"""What tasks wait for, as the log says it: when it begins, and then once a minute how often; not a line per task."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

EVERY = 60.0
MOST = 50
_NUMBER = re.compile(r"\d+")


class Waits:
    """Reasons that differ only in numbers are one; more than `MOST` a minute are not told apart."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._more: dict[tuple[str, str], int] = {}
        """How many more there were of each that has been said, by task type and reason."""

    def note(self, type: str, reason: str) -> list[str]:
        """Take note of a task that waits; return what is to be logged now."""
        now, lines = self._clock(), []
        if now - self._since >= EVERY:
            spent = now - self._since
            lines = [
                f"{of} waits, {more} times in {spent:.0f} s: {why}" for (of, why), more in self._more.items() if more
            ]
            self._more = {key: 0 for key, more in self._more.items() if more}
            self._since = now
        key = (type, _NUMBER.sub("…", reason))
        if key not in self._more and len(self._more) >= MOST:
            key = (type, "for various reasons")
        if key in self._more:
            self._more[key] += 1
        else:
            self._more[key] = 0
            lines.append(f"{type} waits: {reason}")
        return lines
