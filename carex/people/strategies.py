"""How one of several candidates is chosen: pure functions, so that any choice can be made again from the ledger.

A plugin may bring more of them: `@plugin.strategy("name")`. A strategy that has no answer returns None; in a chain,
`sticky, least_loaded`, the next one is asked, and after the last one chance decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from carex.choice import DRAW_BITS, Candidate, Choice, Situation
from carex.errors import ConfigError
from carex.people.inputs import Inputs

Strategy = Callable[[Situation], "Choice | int | None"]
OWNERS = "owners"
"""The fact that `sticky` goes by."""
FALLBACK = "fallback"
"""In place of a strategy: nobody could be chosen, and the fallback got it."""


class Chosen(NamedTuple):
    """A choice, and which part of the chain made it."""

    user_id: int
    by: str
    note: str
    credits: Mapping[int, float]


def parts_of(strategy: str) -> list[str]:
    """The parts of a chain in order: `sticky, least_loaded`."""
    return [part.strip() for part in strategy.split(",") if part.strip()]


def check(strategy: str, known: Mapping[str, Strategy]) -> None:
    """Raise `ConfigError` if this is not a strategy, or a chain of them, among those that are known."""
    parts = parts_of(strategy)
    strangers = [part for part in parts if part not in known]
    if strangers or not parts:
        name = strangers[0] if strangers else strategy
        raise ConfigError(f"{name!r} is not a strategy Carex knows.", f"There are: {', '.join(known)}.")


def choose(strategy: str, inputs: Inputs, known: Mapping[str, Strategy] | None = None) -> Chosen:
    """Whom the strategy, or chain of them, chooses. The order of the candidates does not matter.

    Raises `ConfigError` if a strategy is not there, raises something, or chooses somebody who is no candidate.
    """
    if strategy == FALLBACK and inputs.fallback is not None:
        return Chosen(inputs.fallback, FALLBACK, "nobody was available", {})
    known = STRATEGIES if known is None else known
    check(strategy, known)
    if not inputs.candidates or not 0 <= inputs.draw < 1 << DRAW_BITS:
        raise ValueError("choose() needs a candidate, and a draw from 0 to 2**53 - 1.")
    for part in [*parts_of(strategy), "random"]:
        choice = _ask((known if part in known else STRATEGIES)[part], part, inputs.situation(part))
        if choice is not None:
            return Chosen(choice.user_id, part, choice.note, choice.credits)
    raise AssertionError("random always has an answer")


def _ask(strategy: Strategy, name: str, situation: Situation) -> Choice | None:
    """What a strategy answers. It may be a plugin's: whatever is wrong with it becomes a `ConfigError`."""
    try:
        found = strategy(situation)
        if found is None:
            return None
        choice = found if isinstance(found, Choice) else Choice(found)
        credits = {int(id): float(credit) for id, credit in choice.credits.items()}
    except Exception as error:  # noqa: BLE001 - a stranger's code
        raise ConfigError(f"The strategy {name!r} failed: {type(error).__name__}: {error}") from None
    if all(choice.user_id != each.id for each in situation.candidates):
        raise ConfigError(f"The strategy {name!r} chose {choice.user_id!r:.40}, who is no candidate.")
    if not all(map(math.isfinite, credits.values())):
        raise ConfigError(f"The strategy {name!r} wants to remember a number that is none.")
    return replace(choice, note=str(choice.note), credits=credits)


def _random(given: Situation) -> Choice:
    """Everybody with the same chance."""
    count = len(given.candidates)
    return Choice(given.candidates[given.draw * count >> DRAW_BITS].id, f"drawn from {count}")


def _round_robin(given: Situation) -> Choice:
    """Whose last turn was longest ago. Who comes back gets one turn, not all those that were missed."""
    first = min(given.candidates, key=lambda each: (each.turn, each.id))
    return Choice(first.id, "never had a turn" if first.turn == 0 else "whose turn was longest ago")


def _weighted(given: Situation) -> Choice:
    """Smooth weighted round robin: everybody earns their share of a turn, and who has earned most pays one.

    Who is away earns nothing, and nobody ever owes or is owed much more than one turn, so a return floods nobody.
    """
    working = tuple(each for each in given.candidates if each.weight > 0) or tuple(
        replace(each, weight=1.0) for each in given.candidates
    )
    whole = sum(each.weight for each in working)
    earned = {each.id: each.credit + each.weight / whole for each in working}
    first = max(working, key=lambda each: (round(earned[each.id], 9), -each.turn, -each.id))
    credits = {**earned, first.id: earned[first.id] - 1}
    return Choice(first.id, f"weight {first.weight:g} of {whole:g}, {earned[first.id]:.2f} turns earned", credits)


def _least_loaded(given: Situation) -> Choice:
    """Who has the fewest open items for their weight; of several, whose last turn was longest ago."""
    first = min(given.candidates, key=lambda each: (_burden(each), each.turn, each.id))
    return Choice(first.id, f"{first.load:g} open for weight {first.weight:g}")


def _burden(each: Candidate) -> float:
    return each.load / each.weight if each.weight > 0 else math.inf


def _sticky(given: Situation) -> Choice | None:
    """The owner of the contact or company, if they are a candidate."""
    candidates = {each.id for each in given.candidates}
    owner = next((owner for owner in given.facts.get(OWNERS) or () if owner in candidates), None)
    return None if owner is None else Choice(owner, "owns the contact or company")


STRATEGIES: Mapping[str, Strategy] = {
    "random": _random,
    "round_robin": _round_robin,
    "weighted": _weighted,
    "least_loaded": _least_loaded,
    "sticky": _sticky,
}
