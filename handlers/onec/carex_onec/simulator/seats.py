"""Sessions and licences: every request needs a session, every session a licence, and each serves one at a time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Seat:
    """One session."""

    id: str
    used: float
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Seats:
    """The sessions of one infobase; those unused for `max_age` seconds end by themselves."""

    def __init__(self, licences: int, max_age: float, clock: Callable[[], float]) -> None:
        self.licences = licences
        self.max_age = max_age
        self.clock = clock
        self.kept: dict[str, Seat] = {}
        self.passing = 0
        """Sessions of one request only."""
        self.most = 0
        """The most licences that were in use at a time."""
        self.opened = 0

    @property
    def in_use(self) -> int:
        now = self.clock()
        for id, seat in [*self.kept.items()]:
            if now - seat.used > self.max_age and not seat.turn.locked():
                del self.kept[id]
        return len(self.kept) + self.passing

    def find(self, id: str) -> Seat | None:
        return self.kept.get(id) if self.in_use else None

    def open(self, *, keep: bool) -> Seat | None:
        """None if no licence is free."""
        if self.in_use >= self.licences:
            return None
        seat = Seat(str(uuid.uuid4()), self.clock())
        if keep:
            self.kept[seat.id] = seat
        else:
            self.passing += 1
        self.opened += 1
        self.most = max(self.most, self.in_use)
        return seat

    def end(self, seat: Seat) -> None:
        if self.kept.pop(seat.id, None) is None:
            self.passing -= 1
