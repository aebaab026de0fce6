"""The ledger: every change the portal has applied, and every call it has answered.

Tests assert on what the portal ended up with, not on what a client believes it sent.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

RESPONSIBLE = "assignedById"


@dataclass(frozen=True)
class Change:
    """One field of one item, set through REST; `changed` is False if the same value was set again."""

    at: float
    entity_type_id: int
    item_id: int
    field: str
    old: Any
    new: Any
    method: str
    request_no: int
    changed: bool


class Ledger:
    """Changes in the order they were applied, and counts of calls."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.calls: Counter[tuple[str, str]] = Counter()
        self.batched: Counter[tuple[str, str]] = Counter()
        self.requests = 0
        self.refusals = 0
        self._people: dict[tuple[int, int], list[int]] = {}
        self._final: dict[tuple[int, int], int] = {}

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def add(self, change: Change) -> None:
        """Write down an applied change."""
        self.changes.append(change)
        if change.field == RESPONSIBLE:
            key = (change.entity_type_id, change.item_id)
            people = self._people.setdefault(key, [])
            if change.new not in people:
                people.append(change.new)
            self._final[key] = change.new

    def people(self, entity_type_id: int, item_id: int) -> list[int]:
        """Return who was made responsible through REST, in order, each person once."""
        return list(self._people.get((entity_type_id, item_id), []))

    def given_to_two(self, entity_type_id: int = 2) -> dict[int, list[int]]:
        """Return the items that were given to more than one person."""
        return {
            item_id: list(people)
            for (type_id, item_id), people in self._people.items()
            if type_id == entity_type_id and len(people) > 1
        }

    def shares(self, entity_type_id: int = 2) -> Counter[int]:
        """Return how many of the items given out through REST each person ended up with."""
        return Counter(user for (type_id, _), user in self._final.items() if type_id == entity_type_id)
