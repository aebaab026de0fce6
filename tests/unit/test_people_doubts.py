"""What is odd about the rules is said before it matters."""

import pytest

from carex.people import Pool, Rules, User
from carex.people.doubts import bad_conditions, doubts_of

ANNA = User(1, "Anna", departments=("Sales",))


@pytest.mark.parametrize("amount", [">=100 000", ">100k", "1000-5000", "much", [5000, "=> 5"]])
def test_an_amount_that_cannot_be_compared_is_named(amount):
    assert len(list(bad_conditions({"amount": amount}))) == 1


@pytest.mark.parametrize("when", [{"amount": ">=100000"}, {"amount": ["1..5", 7, "!=3"]}, {"source": ["WEB", "web*"]}])
def test_conditions_that_can_be_read_are_fine(when):
    assert list(bad_conditions(when)) == []


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(pools=[Pool("a", {"ammount": 5})]), "Did you mean amount?"),
        (Rules(pools=[Pool("a"), Pool("b", {"source": "x"})]), "nothing is left for b"),
        (Rules(pools=[Pool("a", members=(1, 9))]), "not in the directory: 9"),
        (Rules(pools=[Pool("a", departments=("Sells",))]), "nobody is of the department Sells"),
        (Rules(fallback=9), "the fallback 9 is not in the directory"),
        (Rules(strategy="random, sticky"), "never comes to sticky"),
    ],
)
def test_what_is_hardly_meant_is_said(rules, said):
    assert [said in each for each in doubts_of(rules, [ANNA])] == [True]


@pytest.mark.parametrize(
    ("user", "rules", "count"),
    [
        (User(1, "Anna", weight=2), Rules(strategy="round_robin"), 1),
        (User(1, "Anna", weight=2), Rules(strategy="sticky, weighted"), 0),
        (User(1, "Anna", open_cap=5), Rules(), 1),
        (User(1, "Anna", open_cap=5), Rules(sources=["open_deals"]), 0),
    ],
)
def test_terms_that_do_nothing_are_said(user, rules, count):
    assert len(list(doubts_of(rules, [user]))) == count
