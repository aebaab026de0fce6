"""SQLite and Redis are driven together against one small model in memory, step by step, and all three have to agree."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from carex.queue import SENDING, Delivery, Entry, Filter, Queue
from carex.task import BpmnError, Crash, Done, Fail, Outcome, Retry, Task, Wait

if TYPE_CHECKING:
    from conftest import RedisServer

LEASE = 30.0
TYPES = st.sampled_from(["a", "b", "c"])
HOLDERS = st.integers(0, 2)
WANTED = st.sampled_from([["*"], ["*"], ["b", "a"], ["[!a]", "a"], ["a"], ["[ab]"], ["d"]])
TIMES = st.sampled_from([0.0] * 6 + [5.0, LEASE, LEASE + 1, 60.0])
"""Seconds that pass: none, a moment, until a lease ends and is just over, until a key holds no more."""
PUTS = st.lists(
    st.tuples(
        TYPES,
        st.sampled_from([None, None, None, "k1", "k2"]),
        st.sampled_from([0.0, 60.0]),
        st.sampled_from([0, 20]),
        st.sampled_from([None, {"to": "engine"}]),
    ),
    min_size=1,
    max_size=4,
)
UNFINISHED: list[Outcome] = [
    Retry("again", 5.0),
    Retry("at once"),
    Wait("limit", 10.0),
    Fail("нет"),
    BpmnError("E", "x"),
    Crash("its process died"),
]
OUTCOMES: st.SearchStrategy[Outcome] = st.just(Done({"n": 1})) | st.just(Done()) | st.sampled_from(UNFINISHED)
FILTERS = st.builds(
    Filter,
    types=st.sampled_from([(), ("a",), ("[ab]",)]),
    states=st.sampled_from([(), ("failed",), ("waiting", "done")]),
    match=st.sampled_from([None, None, "НЕТ", "k1"]),
)


@dataclass
class Known:
    """A task as the model knows it."""

    task: Task
    place: int
    state: str = "waiting"
    due: float = 0.0
    attempt: int = 0
    crashes: int = 0
    fence: int = 0
    holder: int | None = None
    lease: float = 0.0
    finished: float | None = None
    reason: str = ""
    window: float = 0.0


class Model:
    """What the protocol promises, in its plainest form."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.tasks: dict[str, Known] = {}
        self.answers: dict[str, float] = {}
        self.fences = itertools.count(1)

    def holders_of(self, key: str | None) -> list[str]:
        return [
            known.task.id
            for known in self.tasks.values()
            if key and known.task.key == key and (known.finished is None or known.finished + known.window > self.now)
        ]

    def put(self, task: Task) -> list[str]:
        """The ids that hold its key; none if the task is new."""
        holders = self.holders_of(task.key)
        if not holders:
            self.tasks[task.id] = Known(task, next(self.fences), due=task.due or self.now, window=task.window)
        return holders

    def claim(self, holder: int, types: Sequence[str], limit: int) -> list[Known]:
        for known in self.tasks.values():
            if known.state == "running" and known.lease < self.now:
                known.state, known.holder, known.crashes = "waiting", None, known.crashes + 1
        due = [
            known
            for known in self.tasks.values()
            if known.state == "waiting" and known.due <= self.now and _matches(known.task.type, types)
        ]
        claimed = sorted(due, key=lambda known: (known.due, known.place))[:limit]
        for known in claimed:
            known.state, known.holder, known.lease = "running", holder, self.now + LEASE
            known.attempt += 1
            known.fence = next(self.fences)
        return claimed

    def settle(self, known: Known, outcome: Outcome, answer: str | None) -> None:
        known.holder, known.reason = None, "" if isinstance(outcome, Done) else outcome.reason
        if isinstance(outcome, BpmnError):
            known.reason = f"{outcome.code}: {outcome.reason}"
        if isinstance(outcome, Crash):
            known.reason = f"crash: {outcome.reason}"
        if answer is not None:
            self.answers[answer] = self.now + SENDING
            known.window *= isinstance(outcome, (Done, BpmnError))
        if answer is not None and isinstance(outcome, (Retry, Wait, BpmnError, Crash)):
            known.state, known.finished, known.due = "done", self.now, self.now
        elif isinstance(outcome, (Retry, Wait, Crash)):
            known.state = "waiting"
            if not isinstance(outcome, Crash):
                known.due = self.now + (getattr(outcome, "delay", None) or 0)
            known.attempt -= isinstance(outcome, Wait)
            known.crashes += isinstance(outcome, Crash)
        else:
            known.state, known.finished = "done" if isinstance(outcome, Done) else "failed", self.now
            known.due = known.due if isinstance(outcome, Done) else self.now

    def pruned(self, older_than: float) -> list[Known]:
        return [
            known
            for known in self.tasks.values()
            if known.state == "done" and known.finished is not None and known.finished < self.now - older_than
            if not known.task.key or known.finished + known.window < self.now
        ]

    def meant(self, where: Filter) -> list[Known]:
        return [
            known
            for known in self.tasks.values()
            if (not where.types or _matches(known.task.type, where.types))
            and (not where.states or known.state in where.states)
            and (not where.match or where.match.casefold() in f"{known.reason}\n{known.task.key}".casefold())
        ]


def _matches(type: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(type, glob) for glob in globs)


@dataclass(frozen=True)
class Held:
    """One claim of one task, as the model and each backend see it."""

    id: str
    fence: int
    deliveries: tuple[Delivery, ...]


class Agreement(RuleBasedStateMachine):
    """Each rule does the same to all three and compares what they answer."""

    def __init__(self, openers: Sequence[Callable[[Callable[[], float]], Queue]]) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.openers = openers
        self.queues = [[self.open(opener) for opener in openers] for _ in range(3)]
        self.held: list[Held] = []

    def open(self, opener: Callable[[Callable[[], float]], Queue]) -> Queue:
        return opener(lambda: self.model.now)

    def each(self, holder: int, ask: Callable[[Queue], Coroutine[Any, Any, Any]]) -> list[Any]:
        return [self.loop.run_until_complete(ask(queue)) for queue in self.queues[holder]]

    @rule(holder=HOLDERS, puts=PUTS)
    def put(self, holder: int, puts: list[tuple[str, str | None, float, float, dict[str, str] | None]]) -> None:
        now = self.model.now
        tasks = [
            Task(type, {"n": n}, key, window, now + delay if delay else 0.0, created=now, reply=reply)
            for n, (type, key, window, delay, reply) in enumerate(puts)
        ]
        expected = [self.model.put(task) for task in tasks]
        for placed in self.each(holder, lambda queue: queue.put(tasks)):
            assert [each.new for each in placed] == [not holders for holders in expected]
            assert all(not ids or each.id in ids for each, ids in zip(placed, expected, strict=True))

    @rule(holder=HOLDERS, types=WANTED, limit=st.sampled_from([4, 3, 2, 1, 0]), after=TIMES)
    def claim(self, holder: int, types: list[str], limit: int, after: float) -> None:
        self.model.now += after
        self.claimed(holder, types, limit)

    def claimed(self, holder: int, types: list[str], limit: int) -> list[Held]:
        expected = self.model.claim(holder, types, limit)
        answers = self.each(holder, lambda queue: queue.claim(types, limit))
        for deliveries in answers:
            seen = [(each.task.id, each.task.attempt, each.crashes) for each in deliveries]
            assert seen == [(known.task.id, known.attempt, known.crashes) for known in expected]
        rows = zip(expected, *answers, strict=True)
        claimed = [Held(known.task.id, known.fence, tuple(deliveries)) for known, *deliveries in rows]
        self.held += claimed
        return claimed

    @rule(holder=HOLDERS, outcomes=st.lists(OUTCOMES, min_size=1, max_size=3))
    def work(self, holder: int, outcomes: list[Outcome]) -> None:
        """What is due is claimed and settled at once."""
        claimed = self.claimed(holder, ["*"], len(outcomes))
        self.settle(holder, list(zip(claimed, outcomes, strict=False)))

    @precondition(lambda self: self.held)
    @rule(holder=HOLDERS, data=st.data(), extend=st.booleans())
    def answer(self, holder: int, data: st.DataObject, extend: bool) -> None:
        """Some deliveries are prolonged or settled, late ones too; rather those that are still held."""
        current = [held for held in self.held if not self.is_lost(held)]
        anyone = st.sampled_from(current or self.held) | st.sampled_from(self.held)
        chosen = data.draw(st.lists(anyone, min_size=1, max_size=4, unique_by=lambda held: held.fence))
        if extend:
            self.extend(holder, chosen)
        else:
            self.settle(holder, [(held, data.draw(OUTCOMES)) for held in chosen])

    def is_lost(self, held: Held) -> bool:
        known = self.model.tasks.get(held.id)
        return known is None or known.state != "running" or known.fence != held.fence

    def extend(self, holder: int, chosen: list[Held]) -> None:
        lost = [held for held in chosen if self.is_lost(held)]
        for held in chosen:
            if held not in lost:
                self.model.tasks[held.id].lease = self.model.now + LEASE
                self.model.tasks[held.id].holder = holder
        for number, queue in enumerate(self.queues[holder]):
            answer = self.loop.run_until_complete(queue.extend([held.deliveries[number] for held in chosen]))
            assert answer == [held.deliveries[number] for held in lost]

    def settle(self, holder: int, chosen: list[tuple[Held, Outcome]]) -> None:
        """Tasks that somebody waits for are answered, but for an attempt that is to be repeated at once."""
        lost = [held for held, _ in chosen if self.is_lost(held)]
        answers = {
            held.id: f"{held.fence} {outcome!r}"
            for held, outcome in chosen
            if held.deliveries[0].task.reply and outcome != Retry("at once")
        }
        for number, queue in enumerate(self.queues[holder]):
            outcomes = [(held.deliveries[number], outcome) for held, outcome in chosen]
            answer = self.loop.run_until_complete(queue.settle(outcomes, {"n": 1}, answers))
            assert answer == [held.deliveries[number] for held in lost]
        for held, outcome in chosen:
            if held not in lost:
                self.model.settle(self.model.tasks[held.id], outcome, answers.get(held.id))

    @rule(holder=HOLDERS, after=TIMES, arrives=st.booleans())
    def send(self, holder: int, after: float, arrives: bool) -> None:
        """A holder takes the answers that nobody is sending, and they arrive or do not."""
        self.model.now += after
        due = [body for body, at in self.model.answers.items() if at <= self.model.now]
        for queue in self.queues[holder]:
            taken = self.loop.run_until_complete(queue.answers(1000))
            assert sorted((each.body, each.reply["to"]) for each in taken) == sorted((body, "engine") for body in due)
            if arrives:
                self.loop.run_until_complete(queue.sent([answer.id for answer in taken]))
        for body in due:
            self.model.answers[body] = self.model.now + SENDING
            if arrives:
                del self.model.answers[body]

    @rule(holder=HOLDERS)
    def close(self, holder: int) -> None:
        """A holder goes in good order, and another takes its place."""
        for known in self.model.tasks.values():
            if known.holder == holder:
                known.state, known.holder, known.attempt = "waiting", None, known.attempt - 1
        self.each(holder, lambda queue: queue.close())
        self.queues[holder] = [self.open(opener) for opener in self.openers]

    @rule(where=FILTERS)
    def requeue(self, where: Filter) -> None:
        failed = [known for known in self.model.meant(where) if known.state == "failed"]
        for known in failed:
            known.state, known.due, known.attempt, known.crashes, known.finished = "waiting", self.model.now, 0, 0, None
        assert self.each(0, lambda queue: queue.requeue(where)) == [len(failed)] * 2

    @rule(where=FILTERS, older_than=st.sampled_from([None, 0.0, 25.0]), after=TIMES)
    def remove(self, where: Filter, older_than: float | None, after: float) -> None:
        """Delete what an operator means, or prune what is old."""
        self.model.now += after
        if older_than is None:
            gone = [known for known in self.model.meant(where) if known.state != "running"]
            assert self.each(1, lambda queue: queue.delete(where)) == [len(gone)] * 2
        else:
            gone = self.model.pruned(older_than)
            assert self.each(2, lambda queue: queue.prune(older_than)) == [len(gone)] * 2
        for known in gone:
            del self.model.tasks[known.task.id]

    @invariant()
    def all_agree(self) -> None:
        sqlite, redis = self.each(0, lambda queue: queue.tasks(Filter()))
        assert [_comparable(entry) for entry in sqlite] == [_comparable(entry) for entry in redis]
        newest_first = sorted(self.model.tasks.values(), key=lambda known: known.place, reverse=True)
        assert [(e.task.id, e.state, e.task.attempt, e.crashes, e.task.due, e.finished) for e in redis] == [
            (known.task.id, known.state, known.attempt, known.crashes, known.due, known.finished)
            for known in newest_first
        ]

    def agree_on_counts(self) -> None:
        sqlite, redis = self.each(0, lambda queue: queue.counts())
        states = Counter((known.task.type, known.state) for known in self.model.tasks.values() if known.state != "done")
        assert sqlite.by_state == redis.by_state == states
        assert (sqlite.oldest_due, sqlite.counters) == (redis.oldest_due, redis.counters)

    def teardown(self) -> None:
        self.agree_on_counts()
        for holder in range(3):
            self.each(holder, lambda queue: queue.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def _comparable(entry: Entry) -> Entry:
    """Without the names of holders, and the words for a crash: each backend has its own."""
    history = [
        {name: value for name, value in line.items() if name != "holder" and line["outcome"] != "Crash"}
        for line in entry.history
    ]
    reason = "crash" if entry.reason.startswith("crash: ") else entry.reason
    return replace(entry, reason=reason, holder=str(entry.holder is not None), history=history)


def agree(folder: Path, server: RedisServer, examples: int, steps: int, **more: Any) -> None:
    from carex.queue.redis import RedisQueue
    from carex.queue.sqlite import SqliteQueue

    numbers = itertools.count()

    def fresh() -> Agreement:
        server.ask("FLUSHALL")
        path = folder / f"{next(numbers)}.db"
        return Agreement(
            [
                lambda clock: SqliteQueue(path, lease=LEASE, clock=clock, ticks=clock),
                lambda clock: cast("Queue", RedisQueue(server.url, lease=LEASE, clock=clock)),
            ]
        )

    run_state_machine_as_test(
        fresh,  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )


# The same examples each time, and no minutes spent on making a failing one smaller: the long test below does both.
def test_both_backends_agree_with_the_model(tmp_path: Path, shared_redis: RedisServer) -> None:
    agree(tmp_path, shared_redis, examples=100, steps=40, derandomize=True, phases=[Phase.generate])


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_both_backends_agree_with_the_model_for_long(tmp_path: Path, shared_redis: RedisServer) -> None:
    agree(tmp_path, shared_redis, examples=2000, steps=50)
