"""Interleaved rounds: every contender once, then every contender again, so that a disturbance hits all of them."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contenders import Contender, python_version
from environments import Unavailable, prepare
from processes import server_version
from steps import Failed, Sizes, Values

Step = Callable[[Contender, Path, Sizes], Values]


@dataclass
class Outcome:
    """What was measured: for each contender and measure one value a round."""

    rounds: int
    contenders: dict[str, Contender] = field(default_factory=dict)
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, found: Values) -> None:
        for key, value in found.items():
            self.values.setdefault(name, {}).setdefault(key, []).append(value)

    def trouble(self, text: str) -> None:
        say(f"  {text}")
        if text not in self.problems:
            self.problems.append(text)

    def median(self, name: str, key: str) -> float | None:
        """The middle one; None if there is none."""
        found = self.values.get(name, {}).get(key)
        return statistics.median(found) if found else None


def measure(
    contenders: Sequence[Contender],
    steps: Callable[[Contender, int], Sequence[Step]],
    floors: Callable[[Outcome], None],
    *,
    rounds: int,
    sizes: Sizes,
    venvs: Path,
) -> Outcome:
    """Run `rounds` rounds of the steps that each contender has in that round (the first is 1).

    Who cannot take part is named in the outcome's problems.
    """
    outcome = Outcome(rounds)
    pythons = {}
    for contender in contenders:
        say(f"preparing {contender.title}")
        try:
            pythons[contender.name] = prepare(contender, venvs)
        except Unavailable as error:
            outcome.trouble(f"{contender.title} is left out: it {error}")
        else:
            outcome.contenders[contender.name] = contender
    for number in range(1, rounds + 1):
        floors(outcome)
        for contender in outcome.contenders.values():
            for step in steps(contender, number):
                say(f"round {number} of {rounds}: {contender.title}: {step.__name__}")
                attempt(outcome, contender, step, pythons[contender.name], sizes)
    return outcome


def attempt(outcome: Outcome, contender: Contender, step: Step, python: Path, sizes: Sizes) -> None:
    try:
        outcome.add(contender.name, step(contender, python, sizes))
    except Failed as error:
        outcome.trouble(f"{contender.title}, {step.__name__}: {error}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, str]:
    from carex import __version__
    from carex.database import SQLITE_VERSION

    return {
        "Carex": __version__,
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": python_version(),
        "Redis": server_version(),
        "SQLite": SQLITE_VERSION,
    }
