"""What is odd about the rules: conditions that can never hold, and what is allowed but hardly meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from carex.people.rules import COMPARISON, NUMBER, RANGE, Pool, Rules
from carex.people.strategies import STRATEGIES, parts_of
from carex.people.user import User

FACTS = ("pipeline", "stage", "source", "amount", "currency")
"""The words for facts that rules go by most; any field of the portal is one, too."""
NO_WEIGHTS = frozenset({"random", "round_robin", "sticky"})
OPEN = "open_deals"


def bad_conditions(when: Mapping[str, Any]) -> Iterator[str]:
    """The conditions that look like a comparison, or are about the amount, and are nothing that can be compared."""
    for name, condition in when.items():
        for each in condition if isinstance(condition, (list, tuple)) else [condition]:
            text = str(each).strip()
            bare = text.removeprefix("!=").strip()
            compares = COMPARISON.fullmatch(bare) or RANGE.fullmatch(bare)
            if not compares and (bare[:1] in "<>=" if bare else False):
                yield f'{name} = "{text[:40]}" cannot be read. Write ">=100000", without spaces between the digits.'
            elif not compares and name == "amount" and not NUMBER.fullmatch(bare):
                yield f'{name} = "{text[:40]}" is no amount. Write 5000, ">=100000" or "1000..5000".'


def doubts_of(rules: Rules, users: Sequence[User]) -> Iterator[str]:
    """What should be looked at again, in whole sentences. Without users nothing is said about them."""
    yield from _pools(rules)
    for place, strategy in _strategies(rules).items():
        yield from _chain(place, strategy)
    if users:
        yield from _people(rules, users)


def _pools(rules: Rules) -> Iterator[str]:
    for number, pool in enumerate(rules.pools):
        if not pool.when and number + 1 < len(rules.pools):
            later = ", ".join(each.name for each in rules.pools[number + 1 :])
            yield f"{_at(pool)} takes everything, because it has no `when`: nothing is left for {later}."
        for name in pool.when:
            near = get_close_matches(name.casefold(), FACTS, 1, 0.75)
            if near and name not in FACTS:
                yield f"{_at(pool)}: {name} is taken for a field of the portal. Did you mean {near[0]}?"


def _chain(place: str, strategy: str) -> Iterator[str]:
    """`random, sticky`: random always has an answer."""
    parts = parts_of(strategy)
    always = next((n for n, part in enumerate(parts) if part in STRATEGIES and part != "sticky"), len(parts))
    behind = ", ".join(parts[always + 1 :])
    if behind:
        yield f'{place}: "{strategy}" never comes to {behind}, because {parts[always]} always has an answer.'


def _people(rules: Rules, users: Sequence[User]) -> Iterator[str]:
    ids = {user.id for user in users}
    departments = {name.casefold() for user in users for name in user.departments}
    places: dict[str, tuple[list[int], int | None]] = {"people": ([], rules.fallback)}
    places |= {_at(pool): ([*pool.members], pool.fallback) for pool in rules.pools}
    for place, (members, fallback) in places.items():
        lost = [str(id) for id in members if id not in ids]
        if lost:
            yield f"{place}: of its members not in the directory: {', '.join(lost)}. `carex users list` shows who is."
        if fallback is not None and fallback not in ids:
            yield f"{place}: the fallback {fallback} is not in the directory, and gets nothing: `carex users add`."
    for pool in rules.pools:
        unknown = [name for name in pool.departments if name.casefold() not in departments]
        if unknown:
            yield f"{_at(pool)}: nobody is of the department {', '.join(unknown)}. `carex users sync` asks the portal."
    capped = [user.name for user in users if user.open_cap is not None]
    if capped and OPEN not in rules.sources:
        yield f'open_cap of {_some(capped)} is not kept: people.sources lacks "{OPEN}", and nobody counts open items.'
    weighed = [user.name for user in users if user.weight != 1]
    if weighed and not goes_by_weights(rules):
        yield f'The weight of {_some(weighed)} does nothing: no strategy in use goes by weights, as "weighted" does.'


def goes_by_weights(rules: Rules) -> bool:
    """Whether a strategy in use looks at weights; a plugin's may."""
    return any(not NO_WEIGHTS.issuperset(parts_of(strategy)) for strategy in _strategies(rules).values())


def _strategies(rules: Rules) -> dict[str, str]:
    return {"people": rules.strategy, **{_at(pool): pool.strategy for pool in rules.pools}}


def _at(pool: Pool) -> str:
    return f"the pool {pool.name}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
