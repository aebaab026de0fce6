"""Pools, their conditions, and what is agreed with employees."""

import pytest

from carex.errors import UsageError
from carex.people import Pool, Rules, User
from carex.people.rules import matches
from carex.people.terms import parse_terms


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ("WEB", "web", True),
        ("WEB", "WEBFORM", False),
        ("web*", "WEBFORM", True),
        (["CALL", "web*"], "webform", True),
        (["CALL", "web*"], "mail", False),
        (0, "0", True),
        (0, 0.0, True),
        ("0", 0, True),
        (0, None, False),
        (0, "", False),
        (">=100000", "100000.00", True),
        (">=100000", 99999.99, False),
        ("> 5", 5, False),
        ("<5", "4", True),
        ("<=5", "5.0", True),
        (">5", "many", False),
        ("100..200", "150", True),
        ("100..200", 201, False),
        ("-5..5", "-5", True),
        ("!=spam", "SPAM", False),
        ("!=spam", "web", True),
        ("!=spam", None, True),
        ("1C", "1C", True),
        ("12", ["7", "12"], True),
        ("Новый", "новый", True),
    ],
)
def test_a_condition_compares_as_a_person_would(condition, value, holds):
    assert matches(condition, value) is holds


BIG = Pool("big", {"pipeline": 0, "amount": ">=1000"})
WEB = Pool("web", {"source": "web*"})


@pytest.mark.parametrize(
    ("facts", "pool"),
    [
        ({"pipeline": 0, "amount": "5000", "source": "WEB"}, "big"),
        ({"pipeline": 1, "amount": "5000", "source": "WEB"}, "web"),
        ({"pipeline": 0, "amount": "5"}, ""),
        ({}, ""),
    ],
)
def test_the_first_pool_whose_conditions_all_hold_takes_the_work(facts, pool):
    assert Rules(pools=[BIG, WEB]).pool(facts).name == pool


def test_what_no_pool_takes_is_for_everybody_by_the_general_strategy():
    pool = Rules(strategy="weighted", fallback=3, pools=[BIG]).pool({})
    assert (pool.name, pool.strategy, pool.fallback, pool.has(User(1, "Anna"))) == ("", "weighted", 3, True)


@pytest.mark.parametrize(
    ("pool", "user", "has"),
    [
        (Pool("all"), User(1, "Anna"), True),
        (Pool("few", members=(1, 2)), User(1, "Anna"), True),
        (Pool("few", members=(2,)), User(1, "Anna"), False),
        (Pool("sales", departments=("sales", "7")), User(1, "Anna", departments=("Sales",)), True),
        (Pool("sales", departments=("sales", "7")), User(1, "Anna", departments=("7",)), True),
        (Pool("sales", departments=("sales",)), User(1, "Anna", departments=("Support",)), False),
        (Pool("both", members=(1,), departments=("sales",)), User(1, "Anna"), True),
    ],
)
def test_a_pool_has_its_members_and_those_of_its_departments(pool, user, has):
    assert pool.has(user) is has


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (Rules(), set()),
        (Rules(strategy="sticky, random"), {"owners"}),
        (Rules(pools=[BIG, WEB]), {"pipeline", "amount", "source"}),
        (Rules(pools=[Pool("own", strategy="sticky")]), {"owners"}),
    ],
)
def test_only_what_the_rules_ask_for_is_wanted(rules, wanted):
    assert rules.wanted() == wanted


@pytest.mark.parametrize(
    ("word", "column", "value"),
    [
        ("weight=2.5", "weight", 2.5),
        ("Weight=0", "weight", 0.0),
        ("schedule=mon-fri 9-18", "schedule", "mon-fri 9-18"),
        ("schedule=none", "schedule", ""),
        ("tz=Asia/Omsk", "time_zone", "Asia/Omsk"),
        ("daily-cap=20", "daily_cap", 20),
        ("open_cap=none", "open_cap", None),
        ("departments=Sales, 7,Sales", "departments", "Sales,7"),
        ("paused=2h", "paused_until", 1_007_200.0),
        ("paused=no", "paused_until", None),
    ],
)
def test_what_is_agreed_can_be_typed(word, column, value):
    assert parse_terms([word], 1_000_000.0) == {column: value}


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("weight=-1", "A weight is a number"),
        ("weight=1e9", "A weight is a number"),
        ("daily_cap=many", "A limit is a whole number"),
        ("schedule=9-18", "mon-fri 09:00-18:00"),
        ("time_zone=Mars", "Europe/Moscow"),
        ("wieght=1", "Did you mean weight="),
        ("weight", "There are: weight, schedule"),
        ("paused=1970-01-02", ""),
    ],
)
def test_a_bad_term_is_refused_with_what_would_be_right(word, hint):
    with pytest.raises(UsageError) as refused:
        parse_terms([word], 1_000_000.0)
    assert hint in (refused.value.hint or "")
