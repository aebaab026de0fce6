"""What a strategy sees and what it answers: values only, so that any choice can be made again from what was stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DRAW_BITS = 53


@dataclass(frozen=True)
class Candidate:
    """Somebody who can be given the work now."""

    id: int
    weight: float = 1.0
    """Their share of the work, beside the weights of the others."""
    load: float = 0.0
    """How many items they have open."""
    turn: int = 0
    """A number that grows: when this strategy last chose them from this pool. 0: never."""
    credit: float = 0.0
    """What this strategy has stored for them in this pool."""


@dataclass(frozen=True)
class Situation:
    """Who can be chosen, in the order of their ids and never nobody, and what is known about the work."""

    candidates: tuple[Candidate, ...]
    draw: int
    """A random number of 53 bits."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the rules asked to know about the work; `owners` are those of its contact and company, in this order."""


@dataclass(frozen=True)
class Choice:
    """Who was chosen, why in a few words, and the new credits to store for this pool, by id."""

    user_id: int
    note: str = ""
    credits: Mapping[int, float] = field(default_factory=dict)
