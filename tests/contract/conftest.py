"""Every queue backend, opened on its real storage. A new backend adds one line to `BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from carex.queue import Queue
from carex.queue.sqlite import SqliteQueue

LEASE = 30.0


@dataclass
class Clock:
    """Time that moves only when told."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Backend:
    """Opens queues that share one storage and one clock, as processes of one installation do."""

    open: Callable[[], Queue]
    clock: Clock = field(default_factory=Clock)


def sqlite(request: pytest.FixtureRequest, folder: Path) -> Backend:
    clock = Clock()
    return Backend(lambda: SqliteQueue(folder / "queue.db", lease=LEASE, clock=clock, ticks=clock), clock)


def redis(request: pytest.FixtureRequest, folder: Path) -> Backend:
    from carex.queue.redis import RedisQueue

    server, clock = request.getfixturevalue("shared_redis"), Clock()
    server.ask("FLUSHALL")
    return Backend(lambda: cast("Queue", RedisQueue(server.url, lease=LEASE, clock=clock)), clock)


BACKENDS = {"sqlite": sqlite, "redis": redis}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](request, tmp_path)
