"""Every queue backend, opened on its real storage. A new backend adds one line to `BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

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


def sqlite(folder: Path) -> Backend:
    clock = Clock()
    return Backend(lambda: SqliteQueue(folder / "queue.db", lease=LEASE, clock=clock, ticks=clock), clock)


BACKENDS = {"sqlite": sqlite}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)
