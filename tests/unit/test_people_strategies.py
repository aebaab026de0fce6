import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from carex.choice import DRAW_BITS, Choice
from carex.errors import ConfigError
from carex.people.inputs import Inputs, Share
from carex.people.strategies import STRATEGIES, choose, parts_of

DRAWS = some.integers(0, 2**DRAW_BITS - 1)
SHARES = some.builds(Share, some.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]), some.integers(0, 9))
STATE = some.tuples(some.integers(0, 50), some.floats(-1, 1))
NAMES = some.sampled_from(["random", "round_robin", "weighted", "least_loaded", "sticky", "sticky, least_loaded"])


@some.composite
def inputs(draw: some.DrawFn) -> Inputs:
    people = draw(some.dictionaries(some.integers(1, 40), SHARES, min_size=1, max_size=8))
    state = {name: draw(some.dictionaries(some.sampled_from(sorted(people)), STATE)) for name in STRATEGIES}
    owners = draw(some.lists(some.integers(1, 40), max_size=3))
    return Inputs(people, draw(DRAWS), {"owners": owners}, state)


def of(*ids: int, draw: int = 0, **more: object) -> Inputs:
    return Inputs({id: Share() for id in ids}, draw, **more)  # type: ignore[arg-type]


def play(strategy: str, weights: dict[int, float], rounds: int, away: dict[int, range] | None = None) -> list[int]:
    """Who is chosen in each round, the state being kept as the ledger keeps it."""
    state: dict[int, tuple[int, float]] = {}
    chosen = []
    for number in range(1, rounds + 1):
        present = {id: Share(w) for id, w in weights.items() if number not in (away or {}).get(id, ())}
        choice = choose(strategy, Inputs(present, 0, {}, {strategy: state}))
        state.update({id: (state.get(id, (0, 0.0))[0], credit) for id, credit in choice.credits.items()})
        state[choice.user_id] = (number, state.get(choice.user_id, (0, 0.0))[1])
        chosen.append(choice.user_id)
    return chosen


@given(NAMES, inputs())
def test_the_choice_is_one_of_the_candidates(strategy, inputs):
    assert choose(strategy, inputs).user_id in inputs.candidates


@given(NAMES, inputs())
def test_the_order_of_the_candidates_does_not_matter(strategy, inputs):
    turned = replace(inputs, candidates=dict(reversed(inputs.candidates.items())))
    assert choose(strategy, turned) == choose(strategy, inputs)


@given(NAMES, inputs())
def test_the_ledger_gives_back_what_was_put_into_it(strategy, inputs):
    kept = Inputs.of(inputs.draw, str(sorted(inputs.candidates)), inputs.to_json())
    assert choose(strategy, kept) == choose(strategy, inputs)


@given(some.sampled_from(["round_robin", "weighted", "least_loaded"]), inputs())
def test_without_somebody_who_was_not_chosen_the_choice_is_the_same(strategy, inputs):
    chosen = choose(strategy, inputs).user_id
    if strategy == "weighted":  # the others earn more without them, but each in proportion to their weight
        inputs = replace(inputs, state={}, candidates={id: Share() for id in inputs.candidates})
        chosen = choose(strategy, inputs).user_id
    other = next((id for id in inputs.candidates if id != chosen), None)
    assert other is None or choose(strategy, inputs.without(other)).user_id == chosen


@pytest.mark.parametrize(("draw", "chosen"), [(0, 10), (2**51, 20), (2**52, 30), (2**53 - 1, 40)])
def test_the_draws_are_divided_evenly_among_the_candidates(draw, chosen):
    assert choose("random", of(40, 30, 20, 10, draw=draw)).user_id == chosen


def test_in_many_draws_everybody_is_chosen_about_equally_often():
    rng = random.Random(1)
    chosen = [choose("random", of(*range(8), draw=rng.getrandbits(DRAW_BITS))).user_id for _ in range(8000)]
    chi_square = sum((chosen.count(id) - 1000) ** 2 / 1000 for id in range(8))
    assert chi_square < 24.3  # p = 0.001 at 7 degrees of freedom


def test_round_robin_goes_round():
    assert play("round_robin", dict.fromkeys((3, 1, 2), 1.0), 7) == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.parametrize("strategy", ["round_robin", "weighted"])
def test_who_comes_back_gets_one_turn_and_not_those_that_were_missed(strategy):
    chosen = play(strategy, dict.fromkeys((1, 2, 3), 1.0), 60, away={3: range(4, 40)})
    assert chosen[39:45].count(3) == 2
    assert Counter(chosen)[1] - Counter(chosen)[2] in (-1, 0, 1)


def test_who_left_with_much_earned_in_a_big_pool_floods_no_small_one():
    weights = dict.fromkeys(range(1, 21), 1.0)
    away = {id: range(20, 200) for id in range(1, 19)}
    chosen = play("weighted", weights, 60, away={**away, 20: range(19, 50)})
    assert chosen[49:55].count(20) <= 4


def test_weights_are_kept_to_the_deal():
    chosen = Counter(play("weighted", {1: 1.0, 2: 2.0, 3: 3.0}, 6000))
    assert chosen == {1: 1000, 2: 2000, 3: 3000}


def test_weights_are_spread_and_not_given_in_one_go():
    assert play("weighted", {1: 1.0, 2: 2.0, 3: 3.0}, 6) == [3, 2, 3, 1, 2, 3] or play(
        "weighted", {1: 1.0, 2: 2.0, 3: 3.0}, 6
    ) == [3, 2, 1, 3, 2, 3]


def test_a_weight_of_nothing_is_for_when_there_is_nobody_else():
    assert set(play("weighted", {1: 0.0, 2: 1.0}, 10)) == {2}
    assert choose("weighted", Inputs({1: Share(0.0)}, 0)).user_id == 1


def test_the_least_loaded_is_who_has_fewest_open_items_for_their_weight():
    assert choose("least_loaded", Inputs({1: Share(1, 3), 2: Share(2, 4), 3: Share(1, 9)})).user_id == 2


def test_of_equally_loaded_people_the_one_whose_turn_was_longest_ago_is_chosen():
    state = {"least_loaded": {1: (9, 0.0), 2: (5, 0.0)}}
    assert choose("least_loaded", of(1, 2, state=state)).user_id == 2


@pytest.mark.parametrize(("owners", "by"), [([7, 2], "sticky"), ([7], "round_robin"), ([], "round_robin")])
def test_a_chain_asks_the_next_one_when_the_owner_is_no_candidate(owners, by):
    found = choose("sticky, round_robin", of(1, 2, facts={"owners": owners}))
    assert (found.by, found.user_id) == (by, 2 if by == "sticky" else 1)


def test_after_the_last_of_a_chain_chance_decides():
    assert choose("sticky", of(1, 2, draw=2**53 - 1))[:2] == (2, "random")


def test_a_plugins_strategy_answers_with_an_id_a_choice_or_nothing():
    known = {**STRATEGIES, "oldest": lambda given: given.candidates[0].id, "shy": lambda given: None}
    known["loud"] = lambda given: Choice(given.candidates[-1].id, "loudest", {9: 0.5})
    assert choose("oldest", of(4, 9), known)[:2] == (4, "oldest")
    assert choose("shy, loud", of(4, 9), known) == (9, "loud", "loudest", {9: 0.5})


def test_a_strategy_that_chooses_a_stranger_is_named():
    with pytest.raises(ConfigError, match="'bad' chose 99, who is no candidate"):
        choose("bad", of(1), {**STRATEGIES, "bad": lambda given: 99})


def test_the_fallback_is_who_was_set():
    assert choose("fallback", Inputs(fallback=12))[:2] == (12, "fallback")


@pytest.mark.parametrize(("candidates", "draw"), [([], 0), ([1], -1), ([1], 2**53)])
def test_no_candidates_or_an_impossible_draw_is_refused(candidates, draw):
    with pytest.raises(ValueError, match="needs a candidate"):
        choose("random", of(*candidates, draw=draw))


@pytest.mark.parametrize(("name", "stranger"), [("loudest", "loudest"), ("sticky, loudest", "loudest"), ("", "")])
def test_an_unknown_strategy_is_a_configuration_error(name, stranger):
    with pytest.raises(ConfigError, match=f"'{stranger}' is not a strategy"):
        choose(name, of(1))


def test_the_parts_of_a_chain_are_separated_by_commas():
    assert parts_of(" sticky ,round_robin,") == ["sticky", "round_robin"]
