"""How evenly work was given: each one's share beside the share they should have, and whether it may be chance."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from carex.people.ledger import Decision
from carex.people.strategies import FALLBACK

BY_WEIGHT = {"weighted", "least_loaded"}
KEPT = {"sticky", FALLBACK}
"""Strategies that do not share out: these decisions have no expected share."""
FEWEST = 5.0
"""With fewer expected decisions for somebody the test says nothing."""


@dataclass(frozen=True)
class Line:
    """One employee: the decisions that were theirs, how many of these were shared out, and how many to be expected."""

    user_id: int
    name: str
    given: int
    shared: int
    expected: float


@dataclass(frozen=True)
class Fairness:
    """`p` is how likely a fair draw differs at least so much from what is expected; None if that cannot be said."""

    lines: Sequence[Line]
    chi_square: float
    freedom: int
    p: float | None
    by_day: Mapping[date, Mapping[int, int]]

    @property
    def given(self) -> int:
        return sum(line.given for line in self.lines)

    @property
    def shared(self) -> int:
        return sum(line.shared for line in self.lines)


def fairness_of(
    decisions: Iterable[Decision], zone: tzinfo | None = None, known: Mapping[int, str] | None = None
) -> Fairness:
    """Compare what was given with what should have been; a decision that repeats another does not count.

    Each decision expects of each of its candidates a share: their part of the weights where the strategy goes by
    weights, otherwise the same for all. `known` are the names of those who were given nothing.
    """
    names: dict[int, str] = {**(known or {})}
    given: Counter[int] = Counter()
    shared: Counter[int] = Counter()
    expected: dict[int, float] = defaultdict(float)
    by_day: dict[date, Counter[int]] = defaultdict(Counter)
    for decision in sorted(decisions, key=lambda each: each.id):
        if decision.reused:
            continue
        names[decision.user_id] = decision.user_name
        given[decision.user_id] += 1
        by_day[datetime.fromtimestamp(decision.decided_at, zone).date()][decision.user_id] += 1
        shares = expected_shares(decision)
        shared[decision.user_id] += bool(shares)
        for id, share in shares.items():
            expected[id] += share
    lines = [
        Line(id, names.get(id, f"user {id}"), given[id], shared[id], expected.get(id, 0.0))
        for id in sorted({*given, *expected})
    ]
    counted = [line for line in lines if line.expected > 0]
    chi_square = sum((line.shared - line.expected) ** 2 / line.expected for line in counted)
    freedom = max(len(counted) - 1, 0)
    enough = freedom > 0 and all(line.expected >= FEWEST for line in counted)
    return Fairness(lines, chi_square, freedom, upper_tail(chi_square, freedom) if enough else None, by_day)


def expected_shares(decision: Decision) -> dict[int, float]:
    """Which part of this decision each candidate could expect; nobody any if it was not shared out."""
    by = decision.chosen_by
    if by in KEPT or not decision.inputs.candidates:
        return {}
    weights = {id: share.weight if by in BY_WEIGHT else 1.0 for id, share in decision.inputs.candidates.items()}
    whole = sum(weights.values())
    return {id: (weight / whole if whole else 1 / len(weights)) for id, weight in weights.items()}


def upper_tail(chi_square: float, freedom: int) -> float:
    """How likely a chi-square of so many degrees of freedom is at least this: the regularised gamma function Q."""
    a, x = freedom / 2, chi_square / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:  # the series of P converges fast
        term = total = 1 / a
        n = a
        while abs(term) > abs(total) * 1e-12:
            n += 1
            term *= x / n
            total += term
        return max(0.0, 1 - total * scale)
    b = x + 1 - a  # the continued fraction of Q, by Lentz
    c, d = math.inf, 1 / b
    fraction = d
    for n in range(1, 10_000):
        part = -n * (n - a)
        b += 2
        d = 1 / (part * d + b)
        c = b + part / c
        step = c * d
        fraction *= step
        if abs(step - 1) < 1e-12:
            break
    return min(1.0, fraction * scale)
