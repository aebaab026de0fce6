"""How often a system may be called, agreed among all processes of an installation.

A leaky bucket: each request fills it by one, and it drains at a steady rate. A request is not refused when it is too
early; it is told how long to wait, and its place is then its own, so that nobody asks twice. Beside the bucket stands
what must not be called at all for a while, so that one process's experience is everybody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
ALL = "*"
"""The key that closes everything."""
PROBE = 3.0
"""Seconds for which everybody else waits for what the first request after a closure finds out."""
RESERVE = 1.0
"""So many requests less than the system allows at a time: they do not arrive as evenly as they were sent."""
REGROW = 600.0
"""Seconds after which a burst that was refused is tried again in full."""
LONGEST_LINE = 100
"""More places than this are never taken beforehand."""
LONGEST_CLOSURE = 3600.0


class Closure(NamedTuple):
    """Why something is not to be called for another `left` seconds."""

    reason: str
    left: float


class Permit(NamedTuple):
    """Leave to send one request in `delay` seconds; none at all if `ALL` is among `closed`."""

    delay: float
    closed: Mapping[str, Closure]
    probe: bool
    """The first after a closure of everything: all others wait for what it finds."""


@dataclass
class Bucket:
    """What is known about one system. All times are Unix seconds of one clock."""

    empty_at: float = 0.0
    refused_at: float = 0.0
    room_then: float = 0.0
    """How much went in at a time when it was last refused."""
    closed: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Until when, and why, by key."""
    rate: float = 0.0
    burst: float = 0.0
    """What the last reservation took for allowed; for whoever only looks."""

    def room(self, now: float) -> float:
        """How many requests could go at once now."""
        return max(0.0, self._room(now, self.burst) - max(0.0, self.empty_at - now) * self.rate)

    def reserve(self, now: float, rate: float, burst: float) -> Permit:
        self.rate, self.burst = rate, burst
        closures = self._closures(now)
        if ALL in closures:
            return Permit(closures[ALL].left, closures, False)
        probe = ALL in self.closed
        if probe:
            self.closed[ALL] = (now + PROBE, self.closed[ALL][1])
        room = self._room(now, burst)
        believed = min(self.empty_at, now + (room + LONGEST_LINE) / rate)  # the clock may have been set back
        self.empty_at = max(believed, now) + 1 / rate
        return Permit(max(0.0, self.empty_at - room / rate - now), closures, probe)

    def refuse(self, now: float, rate: float, burst: float) -> None:
        """The system says that its bucket is full, whatever we thought; and this refusal may have filled it, too."""
        thought = (self.empty_at - now) * rate
        room = max(1.0, min(self._room(now, burst), thought - 1))
        self.refused_at, self.room_then = now, room
        self.empty_at = max(self.empty_at, now + room / rate) + 2 / rate

    def close(self, now: float, key: str, reason: str, seconds: float) -> None:
        self.closed[key] = (now + seconds, reason)

    def open(self, now: float, key: str) -> bool:
        """Return whether it had been closed."""
        return self.closed.pop(key, None) is not None

    def _room(self, now: float, burst: float) -> float:
        room = max(1.0, burst - RESERVE)
        return min(room, self.room_then + (now - self.refused_at) * room / REGROW) if self.refused_at else room

    def _closures(self, now: float) -> dict[str, Closure]:
        for key, (until, reason) in self.closed.items():
            self.closed[key] = (min(until, now + LONGEST_CLOSURE), reason)
        expired = [key for key, (until, _) in self.closed.items() if until <= now and key != ALL]
        for key in expired:
            del self.closed[key]
        return {key: Closure(reason, until - now) for key, (until, reason) in self.closed.items() if until > now}


class Store(Protocol):
    """Where buckets are kept."""

    async def change(self, name: str, act: Callable[[Bucket, float], T]) -> T:
        """Run `act` on the named bucket at the store's present time; one process at a time. It may run more than once.

        Raises `Unreachable` if the storage does not answer.
        """
        ...

    async def close(self) -> None: ...


class Limiter:
    """The bucket of one system. `rate` is in requests a second, `burst` how many it takes at once."""

    def __init__(self, store: Store, name: str, *, rate: float, burst: float) -> None:
        self._store = store
        self._name = name
        self._rate = rate
        self._burst = burst

    async def reserve(self) -> Permit:
        """Take the next free place; who gets one has to use it, or it is lost."""
        return await self._change(lambda bucket, now: bucket.reserve(now, self._rate, self._burst))

    async def refused(self) -> None:
        """Say that a request was refused as one too many: everybody backs off."""
        await self._change(lambda bucket, now: bucket.refuse(now, self._rate, self._burst))

    async def close(self, key: str, reason: str, seconds: float) -> None:
        """Say that nothing of this key is to be sent for so long; after `ALL` one request goes first, alone."""
        await self._change(lambda bucket, now: bucket.close(now, key, reason, seconds))

    async def open(self, key: str) -> bool:
        """Say that this key works again; return whether it had been closed."""
        return await self._change(lambda bucket, now: bucket.open(now, key))

    async def _change(self, act: Callable[[Bucket, float], T]) -> T:
        return await self._store.change(self._name, act)


class Memory:
    """Buckets of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    async def change(self, name: str, act: Callable[[Bucket, float], T]) -> T:
        return act(self._buckets.setdefault(name, Bucket()), self._clock())

    async def close(self) -> None:
        self._buckets.clear()


class Share:
    """What the processes of one installation have in common, for the clients of plugins.

    Made by hand, without a store, it is for one process alone, and `clock` gives its Unix seconds.
    """

    def __init__(
        self, open_store: Callable[[], Store] | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._open_store = open_store or (lambda: Memory(clock))
        self._store: Store | None = None

    def limiter(self, name: str, *, rate: float, burst: float) -> Limiter:
        """The bucket of this name. `rate` is in requests a second, `burst` how many the system takes at once."""
        if self._store is None:
            self._store = self._open_store()
        return Limiter(self._store, name, rate=rate, burst=burst)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()
            self._store = None


def written(bucket: Bucket) -> str:
    import json

    return json.dumps(vars(bucket), sort_keys=True)


def read(text: str | None) -> Bucket:
    import json

    if not text:
        return Bucket()
    given: dict[str, Any] = json.loads(text)
    given["closed"] = {key: (until, reason) for key, (until, reason) in given["closed"].items()}
    return Bucket(**given)
