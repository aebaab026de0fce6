"""A decision in words: who, why, and why not the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from carex.cli import output
from carex.errors import ConfigError
from carex.people import Decision
from carex.people.strategies import STRATEGIES, Strategy, choose


def again(decision: Decision, known: Mapping[str, Strategy]) -> int | None:
    """Whom the stored inputs give when the choice is made once more; None if its strategy is gone or fails."""
    try:
        return choose(decision.strategy, decision.inputs, {**STRATEGIES, **known}).user_id
    except ConfigError:
        return None


def next_in_line(decision: Decision, known: Mapping[str, Strategy]) -> int | None:
    """Who would have got it had the one who did not been there."""
    others = decision.inputs.without(decision.user_id)
    try:
        return choose(decision.strategy, others, {**STRATEGIES, **known}).user_id if others.candidates else None
    except ConfigError:
        return None


def plain(decision: Decision, known: Mapping[str, Strategy]) -> dict[str, Any]:
    """A decision for programs."""
    return {
        **asdict(decision),
        "recomputed_user_id": again(decision, known),
        "next_user_id": next_in_line(decision, known),
    }


def words(decision: Decision, names: Mapping[int, str], known: Mapping[str, Strategy]) -> Iterator[str]:
    """A decision for people, line by line."""

    def person(id: int) -> str:
        return f"{id} {names.get(id, '')}".strip()

    inputs = decision.inputs
    where = f", pool {decision.pool!r}" if decision.pool else ""
    yield f"{decision.entity} → {decision.user_id} {decision.user_name}"
    yield f"  Decided    {output.when(decision.decided_at)}, round {decision.round}{where}, task {decision.task_id}"
    by = decision.strategy
    if decision.chosen_by != by:
        by = f"{by}, of which {decision.chosen_by}"
    yield f"  Strategy   {by}{f': {decision.note}' if decision.note else ''}"
    if inputs.facts:
        yield f"  Facts      {', '.join(f'{name} = {value}' for name, value in sorted(inputs.facts.items()))}"
    if inputs.sources:
        asked = (name if said == "ok" else f"{name} in vain: {said}" for name, said in inputs.sources.items())
        yield f"  Asked      {', '.join(asked)}"
    state = inputs.state.get(decision.chosen_by, {})
    for id, share in sorted(inputs.candidates.items()):
        turn, credit = state.get(id, (0, 0.0))
        facts = [f"weight {share.weight:g}"]
        if decision.chosen_by == "least_loaded":
            facts += [f"{share.load:g} open" + (f", counted as {share.load + share.lift:g}" if share.lift else "")]
        facts += [f"{credit:+.2f} turns owed"] if decision.chosen_by == "weighted" else []
        facts += (
            [_last_turn(decision.id - turn if turn else 0)] if decision.chosen_by not in ("random", "sticky") else []
        )
        yield f"  {'→' if id == decision.user_id else ' '} could      {person(id)}: {', '.join(facts)}"
    for id, why in sorted(decision.skipped.items()):
        yield f"    could not  {person(id)}: {why}"
    if decision.chosen_by == "random" and inputs.candidates:
        count = len(inputs.candidates)
        place = sorted(inputs.candidates).index(decision.user_id) + 1 if decision.user_id in inputs.candidates else 0
        yield f"  Drawn      {inputs.draw / 2**53:.6f} × {count} → number {place} of {count}"
    same = again(decision, known)
    after = next_in_line(decision, known)
    if same is None:
        verdict = "its strategy cannot be asked any more"
    else:
        verdict = "the same person" if same == decision.user_id else f"NOT the same, but {person(same)}"
    yield f"  Recomputed from what was stored: {verdict}{f'; next in line was {person(after)}' if after else ''}"
    if decision.told_at is not None:
        yield f"  Portal     {output.when(decision.told_at)}: {decision.reply}"
    else:
        yield "  Portal     has not confirmed it yet"


def _last_turn(ago: int) -> str:
    if ago <= 0:
        return "no turn yet"
    return "last turn one decision ago" if ago == 1 else f"last turn {ago} decisions ago"
