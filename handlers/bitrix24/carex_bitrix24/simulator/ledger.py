"""The ledger: every change the portal has applied, all it has created, and every request it has answered.

Tests assert on what the portal ended up with, not on what a client believes it sent.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

RESPONSIBLE = "assignedById"
BY_HAND = "by hand"
LONGEST_LOG = 200_000


@dataclass(frozen=True)
class Change:
    """One field of one item, set through REST or by hand; `changed` is False if the same value was set again."""

    at: float
    entity_type_id: int
    item_id: int
    field: str
    old: Any
    new: Any
    method: str
    request_no: int
    changed: bool


@dataclass(frozen=True)
class Created:
    """One new thing (item, task, comment, notification, todo); `content` is what the call asked for, as JSON."""

    at: float
    kind: str
    id: int
    method: str
    request_no: int
    content: str


@dataclass(frozen=True)
class Asked:
    """One HTTP request: when it came, from where, for which method, and what it got."""

    number: int
    at: float
    address: str
    method: str
    outcome: str


class Ledger:
    """Changes and creations in the order they were applied, requests in the order they were answered."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.created: list[Created] = []
        self.log: deque[Asked] = deque(maxlen=LONGEST_LOG)
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
        if change.field != RESPONSIBLE:
            return
        key = (change.entity_type_id, change.item_id)
        if change.method != BY_HAND:
            people = self._people.setdefault(key, [])
            if change.new not in people:
                people.append(change.new)
        if key in self._people:
            self._final[key] = change.new

    def answered(self, asked: Asked) -> None:
        """Write down an answered request."""
        self.log.append(asked)
        self.calls[asked.method, asked.outcome] += 1

    def people(self, entity_type_id: int, item_id: int) -> list[int]:
        """Return who was made responsible through REST, in order, each person once."""
        return list(self._people.get((entity_type_id, item_id), []))

    def given_to_two(self, entity_type_id: int = 2) -> dict[int, list[int]]:
        """Return the items that were given to more than one person through REST."""
        return {
            item_id: list(people)
            for (type_id, item_id), people in self._people.items()
            if type_id == entity_type_id and len(people) > 1
        }

    def shares(self, entity_type_id: int = 2) -> Counter[int]:
        """Return how many of the items given out through REST each person ended up with."""
        return Counter(user for (type_id, _), user in self._final.items() if type_id == entity_type_id)

    def created_twice(self, kind: str = "") -> dict[str, list[int]]:
        """Return what was asked for with the same content more than once, and the ids that came of it."""
        found: dict[str, list[int]] = defaultdict(list)
        for thing in self.created:
            if kind in ("", thing.kind):
                found[f"{thing.kind} {thing.content}"].append(thing.id)
        return {content: ids for content, ids in found.items() if len(ids) > 1}
