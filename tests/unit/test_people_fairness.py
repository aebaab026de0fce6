"""Shares, what was to be expected of them, and the test that tells chance from unfairness."""

import random
from datetime import date

import pytest

from carex.people.fairness import expected_shares, fairness_of, upper_tail
from carex.people.inputs import Inputs, Share
from carex.people.ledger import Decision


def decided(user: int, weights: dict[int, float], by: str = "random", id: int = 1, at: float = 0.0, **more) -> Decision:
    values = {
        "id": id,
        "task_id": "t",
        "entity": f"deal:{id}",
        "user_id": user,
        "user_name": f"Employee {user}",
        "strategy": by,
        "pool": "",
        "chosen_by": by,
        "note": "",
        "round": 1,
        "decided_at": at,
        "reused": False,
        "candidates": tuple(weights),
        "skipped": {},
        "inputs": Inputs({each: Share(weight) for each, weight in weights.items()}),
        "told_at": None,
        "reply": "",
    }
    return Decision(**{**values, **more})


@pytest.mark.parametrize(
    ("chi_square", "freedom", "p"),
    [
        (3.841, 1, 0.05),
        (18.307, 10, 0.05),
        (24.322, 7, 0.001),
        (6.346, 7, 0.5),
        (124.342, 100, 0.05),
        (0.0, 5, 1.0),
        (500.0, 7, 0.0),
    ],
)
def test_the_tail_is_that_of_the_tables(chi_square, freedom, p):
    assert upper_tail(chi_square, freedom) == pytest.approx(p, abs=5e-5)


@pytest.mark.parametrize(
    ("by", "shares"),
    [
        ("random", {1: 0.5, 2: 0.5}),
        ("round_robin", {1: 0.5, 2: 0.5}),
        ("weighted", {1: 0.25, 2: 0.75}),
        ("least_loaded", {1: 0.25, 2: 0.75}),
        ("sticky", {}),
        ("fallback", {}),
    ],
)
def test_what_is_to_be_expected_follows_from_the_strategy(by, shares):
    assert expected_shares(decided(1, {1: 1.0, 2: 3.0}, by)) == shares


def test_who_was_away_is_not_expected_to_have_had_anything():
    decisions = [decided(1, {1: 1.0, 2: 1.0}, id=n) for n in range(10)] + [decided(2, {2: 1.0}, id=99)]
    lines = {line.user_id: line for line in fairness_of(decisions).lines}
    assert (lines[1].given, lines[1].expected, lines[2].given, lines[2].expected) == (10, 5.0, 1, 6.0)


def test_a_fair_draw_is_called_even_and_a_loaded_one_is_not():
    rng = random.Random(3)
    everybody = dict.fromkeys(range(1, 9), 1.0)
    fair = [decided(rng.randint(1, 8), everybody, id=n) for n in range(2000)]
    loaded = [decided(max(rng.randint(1, 8), rng.randint(1, 2)), everybody, id=n) for n in range(2000)]
    assert (fairness_of(fair).p or 0) > 0.001
    assert (fairness_of(loaded).p or 0) < 0.001


def test_a_few_decisions_allow_no_verdict():
    assert fairness_of([decided(1, {1: 1.0, 2: 1.0}, id=n) for n in range(9)]).p is None


def test_a_repeated_decision_counts_once_and_an_owners_is_told_apart():
    decisions = [
        decided(1, {1: 1.0}, id=1),
        decided(1, {1: 1.0}, id=2, reused=True),
        decided(1, {1: 1.0}, "sticky", id=3),
    ]
    fairness = fairness_of(decisions)
    assert (fairness.given, fairness.shared) == (2, 1)


def test_the_days_are_those_of_the_house():
    from zoneinfo import ZoneInfo

    late = 1_795_303_800.0  # 2026-11-21 23:30 in London, the 22nd in Moscow
    decisions = [decided(1, {1: 1.0}, at=late)]
    assert fairness_of(decisions, ZoneInfo("Europe/Moscow")).by_day == {date(2026, 11, 22): {1: 1}}
    assert fairness_of(decisions, ZoneInfo("Europe/London")).by_day == {date(2026, 11, 21): {1: 1}}
