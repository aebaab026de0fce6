"""All that a strategy goes by, in a form that the ledger keeps: from it any decision can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from carex.choice import Candidate, Situation


@dataclass(frozen=True)
class Share:
    """A candidate as every strategy sees them."""

    weight: float = 1.0
    load: float = 0.0
    lift: float = 0.0
    """What counts on top of the load, for whoever has come back: see `carex.people.returns`."""


@dataclass(frozen=True)
class Inputs:
    """`state` is by strategy and candidate: (turn, credit), left out while both are 0."""

    candidates: Mapping[int, Share] = field(default_factory=dict)
    draw: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Mapping[int, tuple[int, float]]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    """What the portal was asked about the employees: "ok", or why it could not be asked."""
    fallback: int | None = None

    def situation(self, strategy: str) -> Situation:
        """What this strategy sees."""
        state = self.state.get(strategy, {})
        candidates = tuple(
            Candidate(id, share.weight, share.load + share.lift, *state.get(id, (0, 0.0)))
            for id, share in sorted(self.candidates.items())
        )
        return Situation(candidates, self.draw, self.facts)

    def without(self, id: int) -> Inputs:
        """The same, had this candidate not been there."""
        return replace(self, candidates={other: share for other, share in self.candidates.items() if other != id})

    def to_json(self) -> str:
        shares = {str(id): [share.weight, share.load, share.lift] for id, share in self.candidates.items()}
        state = {name: {str(id): of for id, of in each.items()} for name, each in self.state.items()}
        kept: dict[str, Any] = {"shares": shares, "facts": self.facts, "state": state, "sources": self.sources}
        if self.fallback is not None:
            kept["fallback"] = self.fallback
        return json.dumps(kept, ensure_ascii=False, default=str)

    @classmethod
    def of(cls, draw: int, candidates: str, text: str) -> Inputs:
        """From the columns of the ledger; of a decision from before weights there were only candidates and the draw."""
        kept = json.loads(text)
        shares = kept.get("shares") or {}
        return cls(
            candidates={id: Share(*shares.get(str(id), ())) for id in json.loads(candidates)},
            draw=draw,
            facts=kept.get("facts") or {},
            state={
                name: {int(id): (turn, credit) for id, (turn, credit) in each.items()}
                for name, each in (kept.get("state") or {}).items()
            },
            sources=kept.get("sources") or {},
            fallback=kept.get("fallback"),
        )
