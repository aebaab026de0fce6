import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from carex.errors import ConfigError
from carex.people.strategies import DRAW_BITS, choose

DRAWS = some.integers(0, 2**DRAW_BITS - 1)


@given(some.sets(some.integers(1, 1000), min_size=1), DRAWS)
def test_the_random_choice_is_one_of_the_candidates(candidates, draw):
    assert choose("random", list(candidates), draw) in candidates


@given(some.lists(some.integers(1, 1000), min_size=1, unique=True), DRAWS)
def test_the_order_of_the_candidates_does_not_matter(candidates, draw):
    assert choose("random", candidates, draw) == choose("random", candidates[::-1], draw)


@pytest.mark.parametrize(("draw", "chosen"), [(0, 10), (2**51, 20), (2**52, 30), (2**53 - 1, 40)])
def test_the_draws_are_divided_evenly_among_the_candidates(draw, chosen):
    assert choose("random", [40, 30, 20, 10], draw) == chosen


def test_in_many_draws_everybody_is_chosen_about_equally_often():
    rng = random.Random(1)
    chosen = [choose("random", range(8), rng.getrandbits(DRAW_BITS)) for _ in range(8000)]
    chi_square = sum((chosen.count(id) - 1000) ** 2 / 1000 for id in range(8))
    assert chi_square < 24.3  # p = 0.001 at 7 degrees of freedom


@pytest.mark.parametrize(("candidates", "draw"), [([], 0), ([1], -1), ([1], 2**53)])
def test_no_candidates_or_an_impossible_draw_is_refused(candidates, draw):
    with pytest.raises(ValueError, match="needs a candidate"):
        choose("random", candidates, draw)


def test_an_unknown_strategy_is_a_configuration_error():
    with pytest.raises(ConfigError, match="'loudest' is not a strategy"):
        choose("loudest", [1], 0)
