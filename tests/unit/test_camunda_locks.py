"""Which locks are prolonged, and which are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from carex.camunda.locks import GRACE, Locks
from carex.camunda.stats import Stats
from carex.settings import CamundaSettings

ENGINE_NOW = 1_800_000_000.0


class Recorder:
    """An engine that lists these tasks and remembers whose lock was changed to how many milliseconds."""

    date = ("", 0.0)

    def __init__(self, *tasks: dict[str, Any]) -> None:
        self.tasks = list(tasks)
        self.changed: dict[str, int] = {}

    async def external_tasks(self, **query: Any) -> list[dict[str, Any]]:
        found = sorted(self.tasks, key=lambda task: str(task["lockExpirationTime"]))
        return found[query["first_result"] :][: query["max_results"]]

    async def extend_lock(self, task_id: str, worker_id: str, duration_ms: int) -> None:
        self.changed[task_id] = duration_ms
        self.tasks = [task for task in self.tasks if task["id"] != task_id]


def moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def locked(task_id: str, left: float, *, retries: int | None = None, age: float = 60.0) -> dict[str, Any]:
    times = {"lockExpirationTime": moment(ENGINE_NOW + left), "createTime": moment(ENGINE_NOW - age)}
    return {"id": task_id, "retries": retries, **times}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(engine: Recorder, **settings: Any) -> tuple[Locks, Clock]:
    clock = Clock()
    locks = Locks(engine, CamundaSettings(**settings), Stats(), clock)  # type: ignore[arg-type]
    locks.engine_clock.learn([locked("x", 20.0)], 20.0, clock.now)
    return locks, clock


def run(act: Callable[[], Awaitable[Any]]) -> None:
    async def scenario() -> None:
        await act()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("task", "prolonged"),
    [
        (locked("t", 300.0), True),
        (locked("t", 500.0), False),
        (locked("t", 20.0), False),
        (locked("t", 21.0), False),
        (locked("t", 300.0, retries=2), False),
        (locked("t", 300.0, age=90_000.0), False),
    ],
    ids=["in work", "just locked", "handed over", "by a hair", "a retry timeout", "too old"],
)
def test_only_work_is_prolonged(task: dict[str, Any], prolonged: bool) -> None:
    engine = Recorder(task)
    locks, _ = make(engine)
    run(locks.sweep)
    assert engine.changed == ({"t": 600_000} if prolonged else {})


def test_nothing_is_prolonged_before_the_engine_has_shown_its_clock() -> None:
    engine = Recorder(locked("t", 300.0))
    locks = Locks(engine, CamundaSettings(), Stats(), Clock())  # type: ignore[arg-type]
    run(locks.sweep)
    assert engine.changed == {}


def test_the_header_date_will_do_until_a_task_was_fetched() -> None:
    engine = Recorder(locked("t", 300.0))
    engine.date = ("Fri, 15 Jan 2027 08:00:00 GMT", 1000.0)
    locks = Locks(engine, CamundaSettings(), Stats(), Clock())  # type: ignore[arg-type]
    run(locks.sweep)
    assert engine.changed == {"t": 600_000}


def test_a_sweep_reaches_more_tasks_than_fit_into_one_page() -> None:
    engine = Recorder(*(locked(f"t{n}", 100.0 + n / 10, retries=n % 2 or None) for n in range(1600)))
    locks, _ = make(engine)
    run(locks.sweep)
    assert len(engine.changed) == 800


def test_a_second_attempt_is_prolonged_by_the_bridge_that_locked_it() -> None:
    engine = Recorder()
    locks, clock = make(engine)
    locks.handing_over([{"id": "t", "retries": 2}])
    locks.published("t")
    run(locks.finish)
    clock.now += 400
    engine.tasks = [{**locked("t", 600.0, retries=2)}]
    engine.changed.clear()
    run(locks.sweep)
    assert engine.changed == {"t": 600_000}


def test_what_was_answered_at_once_never_gets_the_long_lock() -> None:
    engine = Recorder()
    locks, clock = make(engine)
    locks.handing_over([{"id": "quick"}, {"id": "slow"}, {"id": "unpublished"}])
    locks.published("quick")
    locks.published("slow")
    locks.forget("quick")
    clock.now += GRACE
    run(locks.finish)
    assert engine.changed == {"slow": 600_000}


def test_an_answer_that_overtakes_the_confirm_counts_too() -> None:
    engine = Recorder()
    locks, _ = make(engine)
    locks.handing_over([{"id": "t"}])
    locks.forget("t")
    locks.published("t")
    run(locks.finish)
    assert engine.changed == {}


def test_a_task_is_given_back_by_shortening_its_own_lock() -> None:
    engine = Recorder()
    locks, _ = make(engine)
    run(lambda: locks.give_back("t", 1.5))
    assert engine.changed == {"t": 1500}


def test_a_short_lock_leaves_time_for_the_hand_over() -> None:
    locks, _ = make(Recorder(), lock_duration_ms=6000)
    assert (locks.handover, locks.work) == (2.0, 6.0)
    assert locks.pause < 1.0
