"""What a queue promises. `tests/contract/test_queue.py` holds every backend to it; passing it is being one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from carex.task import Outcome, Task

State = Literal["waiting", "running", "done", "failed"]
STATES: tuple[State, ...] = ("waiting", "running", "done", "failed")


class Placed(NamedTuple):
    """The answer to a put: the task's own id, or, for a duplicate, the id of the task that holds its key."""

    id: str
    new: bool


class Delivery(NamedTuple):
    """A task leased to one holder. `fence` is new at every claim; a settle or extend with an old one is refused.

    `crashes` counts the earlier claims that ended with neither a settle nor a give-back: the holder died or froze.
    """

    task: Task
    fence: int
    holder: str
    crashes: int
    claimed: float


@dataclass(frozen=True)
class Entry:
    """A task as an operator sees it. Times are Unix seconds; `history` holds the attempts that did not end in Done."""

    task: Task
    state: State
    reason: str
    crashes: int
    holder: str | None
    started: float | None
    finished: float | None
    result: Any
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class Filter:
    """Which tasks an operator means; every given condition must hold. An empty filter means all."""

    ids: Sequence[str] = ()
    types: Sequence[str] = ()
    """Globs, as in `bitrix_*`."""
    states: Sequence[State] = ()
    since: float | None = None
    """Only tasks created (failed ones: failed) at or after this time."""
    match: str | None = None
    """A part of the reason, the key or the payload; case does not matter."""
    limit: int | None = None


@dataclass(frozen=True)
class Holder:
    """A process that claims tasks: what it is, and whether it lives."""

    id: str
    pid: int
    started: float
    alive: bool
    running: int


@dataclass(frozen=True)
class Counts:
    """How much there is. `by_state` is keyed by (type, state), without done tasks; `oldest_due` is how many seconds
    the oldest due task has waited; `counters` are sums over the life of the installation."""

    by_state: Mapping[tuple[str, State], int]
    oldest_due: float
    counters: Mapping[str, float]
    holders: Sequence[Holder] = field(default=())

    def of(self, state: State) -> int:
        return sum(n for (_, s), n in self.by_state.items() if s == state)


class Queue(Protocol):
    """Where tasks wait. Any event loop may call; storage that does not answer raises `Unreachable`."""

    @property
    def durability(self) -> str:
        """One sentence: what a power failure now would cost."""
        ...

    async def put(self, tasks: Sequence[Task]) -> list[Placed]:
        """Store all or none; they are stored when this returns."""
        ...

    async def claim(self, types: Sequence[str], limit: int, wait: float = 0.0) -> list[Delivery]:
        """Lease up to `limit` of the oldest due tasks of these types (globs); wait up to `wait` seconds for the first.

        Raises each one's attempt. Tasks whose lease ran out, or whose holder died, are due again, with one crash more.
        """
        ...

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Prolong the leases; return those that were lost."""
        ...

    async def settle(
        self, outcomes: Sequence[tuple[Delivery, Outcome]], counters: Mapping[str, float] | None = None
    ) -> list[Delivery]:
        """Store how attempts ended, each one atomically, and add to the counters; return those whose lease was lost.

        Done: finished. Retry, Wait: waiting again, due `delay` seconds from now; Wait takes the attempt back.
        Fail, BpmnError: failed. A lost lease changes nothing.
        """
        ...

    async def tasks(self, where: Filter) -> list[Entry]:
        """Newest first."""
        ...

    async def requeue(self, where: Filter) -> int:
        """Make failed tasks wait again, due now, with fresh attempts; return how many."""
        ...

    async def delete(self, where: Filter) -> int:
        """Delete tasks that are not running; return how many."""
        ...

    async def counts(self) -> Counts: ...

    async def prune(self, older_than: float) -> int:
        """Delete done tasks that ended over so many seconds ago and whose key holds no more, some at a time."""
        ...

    async def own(self, what: str, who: str, *, take: bool = False) -> str:
        """Record who owns something among those that share this queue, first come; return the owner.

        `take` makes `who` the owner whoever it was before.
        """
        ...

    async def close(self) -> None:
        """Give up the holder's place; leases still held return at once."""
        ...
