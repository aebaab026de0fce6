"""What alert rules count on is counted when it happens for real."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from carex.task import Task
from tests.system.test_guarantees import freeze

if TYPE_CHECKING:
    from tests.system.conftest import Installation
    from tools.servers import RedisServer

LEASE = 1.0


def animal(kind: str, **payload: Any) -> Task:
    return Task(f"zoo_{kind}", payload)


@pytest.fixture
def counted(installation: Installation) -> Callable[[str], float]:
    """`counted("redis_errors")`: how much of it there is."""

    async def counters(queue: Any) -> Any:
        return (await queue.counts()).counters

    return lambda name: float(installation.with_queue(counters).get(name, 0.0))


def test_a_blocked_loop(installation: Installation, counted: Callable[[str], float], eventually: Any) -> None:
    installation.put(animal("blocking"))
    installation.worker()

    eventually(lambda: counted("loops_given_up") == 1)


def test_a_redis_that_goes_away(
    installation: Installation,
    counted: Callable[[str], float],
    start_redis: Callable[..., RedisServer],
    eventually: Any,
) -> None:
    redis = start_redis()
    installation.move_to(redis.url)
    worker = installation.worker()
    redis.kill()
    eventually(lambda: "Cannot claim tasks" in installation.said(worker), what="a complaint")
    redis.start()

    installation.put(animal("tame"))

    eventually(lambda: counted("redis_errors") > 0)


def test_a_lost_lease(installation: Installation, counted: Callable[[str], float], eventually: Any) -> None:
    installation.env["CAREX_QUEUE__LEASE"] = str(LEASE)
    frozen = installation.worker("--concurrency", "1")
    task = animal("tame", seconds=0.5)
    installation.put(task)
    eventually(installation.running_at(frozen), what="an attempt")
    freeze(frozen.pid, installation)
    installation.worker()
    eventually(lambda: installation.entry(task).state == "done", what="another attempt")

    os.kill(frozen.pid, signal.SIGCONT)
    # It tells with what it does next.
    eventually(lambda: installation.put(animal("tame")) or counted("leases_lost") == 1)
