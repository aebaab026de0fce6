"""How one of several candidates is chosen: pure functions, so that any choice can be recomputed from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from carex.errors import ConfigError

DRAW_BITS = 53

Strategy = Callable[[Sequence[int], int], int]


def find(name: str) -> Strategy:
    """The strategy of this name."""
    try:
        return STRATEGIES[name]
    except KeyError:
        raise ConfigError(f"{name!r} is not a strategy Carex knows.", f"There is: {', '.join(STRATEGIES)}.") from None


def choose(name: str, candidates: Sequence[int], draw: int) -> int:
    """The candidate that the strategy takes for this random number of 53 bits; their order does not matter."""
    if not candidates or not 0 <= draw < 1 << DRAW_BITS:
        raise ValueError("choose() needs a candidate, and a draw from 0 to 2**53 - 1.")
    return find(name)(sorted(candidates), draw)


def _random(candidates: Sequence[int], draw: int) -> int:
    """Everybody with the same chance."""
    return candidates[draw * len(candidates) >> DRAW_BITS]


STRATEGIES: Mapping[str, Strategy] = {"random": _random}
