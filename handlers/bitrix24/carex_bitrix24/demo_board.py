"""What the demo knows at any moment, and its verdict: plain values that the story writes and the views read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SPEED = 20.0
"""The simulated portal's time runs so many times faster than a real one's."""
RATE = 2.0 * SPEED
"""Requests a second that it allows."""


@dataclass
class Board:
    """The state of the demo. Numbers of the portal are the portal's own, those of tasks are the queue's."""

    deals: int
    started: float = field(default_factory=time.monotonic)
    reported: int = 0
    """Deals whose robot got a 2xx."""
    waiting: int = 0
    running: int = 0
    failed: int = 0
    set_back: int = 0
    """Attempts that ended in a retry or a wait."""
    reasons: Sequence[tuple[int, str]] = ()
    """Why tasks wait: how many, and the reason as the queue has it."""
    portal: str = "starts"
    requests: int = 0
    refused: int = 0
    faults: int = 0
    worker: str = "starts"
    assigned: int = 0
    shares: Mapping[str, int] = field(default_factory=dict)
    """Deals by the name of the employee, everybody included."""
    excluded: Sequence[str] = ()
    said: list[tuple[float, str]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def expected(self) -> float:
        """How many deals each employee should get who can get any."""
        return self.deals / max(len(self.shares) - len(self.excluded), 1)

    def say(self, text: str) -> None:
        """Tell the next thing that happens, in one line."""
        self.said.append((self.seconds, text))


@dataclass(frozen=True)
class Verdict:
    """How it ended, read from the portal's ledger. `problems` are whole sentences; without any it is good."""

    deals: int
    assigned: int
    given_to_two: int
    killed_workers: int
    requests: int
    refused: int
    failed: int
    answers_lost: int
    """Of the failed ones: carried out, but the answer never arrived."""
    shares: Mapping[str, int]
    excluded: Sequence[str]
    expected: float
    seconds: float
    problems: Sequence[str]

    @property
    def good(self) -> bool:
        return not self.problems

    @property
    def lost(self) -> int:
        return self.deals - self.assigned

    def as_json(self) -> dict[str, object]:
        return {
            "deals": self.deals,
            "assigned": self.assigned,
            "lost": self.lost,
            "given_to_two": self.given_to_two,
            "killed_workers": self.killed_workers,
            "portal": {
                "requests": self.requests,
                "refused": self.refused,
                "failed": self.failed,
                "answers_lost": self.answers_lost,
            },
            "shares": dict(self.shares),
            "excluded": list(self.excluded),
            "seconds": round(self.seconds, 2),
            "verdict": "good" if self.good else "bad",
            "problems": list(self.problems),
        }
