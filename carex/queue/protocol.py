"""What a queue promises. `tests/contract/test_queue.py` holds every backend to it; passing it is being one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from carex.task import Outcome, Task

State = Literal["waiting", "running", "done", "failed"]
STATES: tuple[State, ...] = ("waiting", "running", "done", "failed")
SENDING = 10.0
"""Seconds for which an answer is left to whoever is to send it; then it is anybody's."""


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


class Answer(NamedTuple):
    """What to tell whoever waits for a task's end, kept until it was sent. `reply` is the task's."""

    id: str
    reply: Mapping[str, Any]
    body: str

    @classmethod
    def to(cls, delivery: Delivery, body: str) -> Answer:
        """The answer that `settle` stores for this delivery."""
        return cls(f"{delivery.task.id}.{delivery.fence}", delivery.task.reply or {}, body)


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
    """A process that claims tasks: what it is, whether it lives, and what it does."""

    id: str
    pid: int
    started: float
    alive: bool
    running: int
    silent: float = 0.0
    """Seconds since its last sign of life; a healthy one gives one at every claim and every third of a lease."""
    types: Sequence[str] = ()
    """What it asked for at its first claim."""
    doing: str = ""
    """The type of the task that it has run for the longest, since when is `since`."""
    since: float | None = None


@dataclass(frozen=True)
class Counts:
    """How much there is. `by_state` is keyed by (type, state), without done tasks; `oldest_due` is how many seconds
    the oldest due task has waited; `counters` are sums over the life of the installation; `unsent` are the answers that
    were not confirmed yet."""

    by_state: Mapping[tuple[str, State], int]
    oldest_due: float
    counters: Mapping[str, float]
    holders: Sequence[Holder] = field(default=())
    unsent: int = 0

    def of(self, state: State) -> int:
        return sum(n for (_, s), n in self.by_state.items() if s == state)


class Source(Protocol):
    """What a worker needs of a queue."""

    async def claim(self, types: Sequence[str], limit: int, wait: float = 0.0) -> list[Delivery]:
        """Lease up to `limit` of the oldest due tasks of these types (globs); wait up to `wait` seconds for the first.

        Raises each one's attempt. Tasks whose lease ran out, or whose holder died, are due again, with one crash more.
        """
        ...

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Prolong the leases, and be their holder from now on; return those that were lost."""
        ...

    async def settle(
        self,
        outcomes: Sequence[tuple[Delivery, Outcome]],
        counters: Mapping[str, float] | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> list[Delivery]:
        """Store how attempts ended, each one atomically, and add to the counters; return those whose lease was lost.

        Done: finished. Retry, Wait: waiting again, due `delay` seconds from now; Wait takes the attempt back.
        Crash: waiting, with one crash more. Fail, BpmnError: failed. A lost lease changes nothing.

        `answers` are by task id, and stored in the same step. A task that is answered is at its end here: whoever gets
        the answer tries again, with a new task. So Retry, Wait and BpmnError are done too, with their reason; and the
        key is free at once, but for Done and BpmnError, after which the same work need not come again. The caller is
        the one to send it (`Answer.to`), for `SENDING` seconds.
        """
        ...

    async def prune(self, older_than: float) -> int:
        """Delete done tasks that ended over so many seconds ago and whose key holds no more, some at a time."""
        ...


class Queue(Source, Protocol):
    """Where tasks wait. Any event loop may call; storage that does not answer raises `Unreachable`."""

    @property
    def durability(self) -> str:
        """One sentence: what a power failure now would cost."""
        ...

    async def put(self, tasks: Sequence[Task], *, failed: str | None = None) -> list[Placed]:
        """Store all or none; they are stored when this returns.

        With `failed`, a reason, they are failed from the start: nobody tries them until a person acts.
        """
        ...

    async def answers(self, limit: int) -> list[Answer]:
        """Answers that nobody is sending, the oldest first. They are the caller's to send for `SENDING` seconds."""
        ...

    async def sent(self, ids: Sequence[str]) -> None:
        """These answers have arrived: forget them."""
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

    async def own(self, what: str, who: str, *, take: bool = False) -> str:
        """Record who owns something among those that share this queue, first come; return the owner.

        `take` makes `who` the owner whoever it was before.
        """
        ...

    async def close(self) -> None:
        """Give up the holder's place; leases still held return at once."""
        ...
