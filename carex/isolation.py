"""Finds out which task kills its process, without condemning its neighbours.

Many tasks are in flight when a worker dies, and most of them, if not all, are innocent: the machine was short of
memory, somebody used `kill -9`. So nothing is condemned for having been there, but tasks with a clean record are not
put at risk either: one whose process died under it is a suspect, and runs in a *cell*, a child process: after its first
crash with the others that have one (or in a worker that has nothing else to do), after its second alone. Only what ends
a process that runs nothing else is failed, as a crash; if the process was killed (SIGKILL), it may have been by
somebody else, and it takes one more such end. A poisonous task is started three times, and costs its neighbours two
starts.

The number of crashes is all that has to be remembered, and the queue does that. A cell holds its tasks as a holder of
its own: if its worker dies, it finishes what it runs, and nobody has a crash more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from carex.errors import Unreachable
from carex.executor import Result, stopped
from carex.last_words import FIRST, place_in
from carex.notify import HURRY
from carex.queue import Delivery
from carex.registry import Registry
from carex.talk import Talk
from carex.task import Crash, Fail, Outcome, Retry, Wait

ALONE = 2
"""Crashes after which a task runs alone."""
COMPANIES = 3
"""Cells for those that run with others: where many suspects wait, each of them starts some at a time."""
LONERS = 3
"""Cells for those that run alone: while one waits for a slow task, the others take those that come."""
PATIENCE = 5.0
"""Seconds beyond a handler's timeout after which its process is ended from outside."""
IDLE = 10.0
"""Seconds without suspects after which their process is ended."""
LOOK = 0.25
"""Seconds between looks whether the process lives: a program that it started may keep its end of our pipe open."""
FROZEN = 0.9
"""The part of a lease after which a process without a sign of life is ended. It gives one every third of a lease."""
LEAST = 2.0
"""Seconds without a sign of life that are forgiven however short the lease is."""
HOPELESS = 9
"""Crashes after which a task is failed unseen: whatever it does, nobody lives to tell. Many, for it may be unlucky: a
worker that dies while it waits for a cell to be ready, or for the end of one, leaves a crash that nobody judges."""
TRIES = 2
"""How often a process that does not come up is started before its tasks have to wait."""
CLOSING = 10.0
"""Seconds that a cell may take to give back what it holds."""
READY = b"ready\n"
Extend = Callable[[Sequence[Delivery]], Awaitable[Sequence[Delivery]]]
Apart = Callable[[int], Awaitable[Talk]]
"""Starts a worker for so many suspects at a time, which takes its tasks from its stdin (see `carex.suspects`)."""


class Cell:
    """A child process for suspects, `width` at a time, started when there are some. It ends with us.

    What its process leaves to us when it dies is taken back with `extend`, or given to `settle`; `told` is called with
    how each of the others ended, a word.
    """

    def __init__(
        self,
        apart: Apart,
        width: int,
        registry: Registry,
        lease: float,
        extend: Extend,
        settle: Callable[[Result], None],
        told: Callable[[str], None],
    ) -> None:
        self._apart = apart
        self._width = width
        self._registry = registry
        self._patience = max(FROZEN * lease, LEAST)
        self._extend = extend
        self._settle = settle
        self._told = told
        self._given: dict[str, Delivery] = {}
        self._started: dict[str, float] = {}  # which of them run, since when
        self._process: Talk | None = None  # that takes tasks
        self._life: asyncio.Task[None] | None = None
        self._closing = False
        self._last_words: list[str] = []  # of the process

    @property
    def load(self) -> int:
        return len(self._given)

    @property
    def waiting(self) -> list[Delivery]:
        """Those that the process has not got yet: their leases are still ours to prolong."""
        return [] if self._process else list(self._given.values())

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        self._given.update((name_of(delivery), delivery) for delivery in deliveries)
        if self._process:
            self._hand_over(self._process, deliveries)
        elif self._life is None or self._life.done():
            self._life = asyncio.create_task(self._live())

    def close(self) -> None:
        """Take no more; let the process finish what it runs and give back the rest."""
        self._closing = True
        if self._process:
            self._process.hang_up()

    async def stop(self) -> None:
        """Have everything given back now."""
        self.close()
        if self._life is None:
            return
        if self._process:
            self._process.send_signal(HURRY)
        await asyncio.wait({self._life}, timeout=CLOSING)
        self._life.cancel()
        await asyncio.wait({self._life})

    async def _live(self) -> None:
        try:
            while self._given and not self._closing:
                process = None
                for _ in range(TRIES):
                    process = process or await self._start()
                if process is None:
                    for delivery in list(self._given.values()):
                        self._end(delivery, Wait("the process for suspects does not start; its log says why", 30.0))
                    return
                if self._closing:
                    await process.end()
                    return
                self._process = process
                why, self._last_words = "", []
                try:
                    self._hand_over(process, list(self._given.values()))
                    why = await self._listen(process)
                finally:
                    self._process = None
                    manner = _manner(await process.end(), self._last_words)
                for name in list(self._started):
                    self._end(self._given[name], self._verdict(self._given[name], why or manner))
                await self._take_back()
        finally:
            for delivery in list(self._given.values()):
                self._end(delivery, stopped())

    async def _start(self) -> Talk | None:
        """A process that is ready: what kills it from now on is what it runs. None if it cannot be started."""
        try:
            process = await self._apart(self._width)
        except Exception:  # noqa: BLE001 - no memory, too many processes: its tasks have to wait
            logger.exception("A process for suspects cannot be started.")
            return None
        if await process.lines.readline() == READY:
            return process
        await process.end()
        return None

    async def _take_back(self) -> None:
        """What the process had not started is ours again, before somebody finds it with a dead holder."""
        with contextlib.suppress(Unreachable):
            for delivery in await self._extend(list(self._given.values())):
                self._forget(delivery)
                self._told("lost")

    def _hand_over(self, process: Talk, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            line = (vars(each.task), each.fence, each.holder, each.crashes, each.claimed)
            process.write(json.dumps(line).encode() + b"\n")

    async def _listen(self, process: Talk) -> str:
        """Hear what the process starts and ends, until it is dead or idle, or has to be killed: then say why."""
        alive = heard = time.monotonic()
        while True:
            try:
                line = await asyncio.wait_for(process.lines.readline(), LOOK)
            except asyncio.TimeoutError:
                now = time.monotonic()
                if process.code is not None or not (self._given or now < heard + IDLE):
                    return ""
                if self._given and now >= alive + self._patience:
                    return f"no sign of life for {self._patience:.0f} s"
                if any(now >= self._due(name) for name in self._started):
                    self._end_overdue(now)
                    return ""
                continue
            if not line.endswith(b"\n"):
                return ""
            heard = time.monotonic()
            if self._last_words or line.startswith(FIRST):
                self._last_words.append(line.decode(errors="replace").rstrip())
                continue
            word, _, name = line.decode().strip().partition(" ")
            if word == "alive":
                alive = heard
            elif word == "start":
                self._started[name] = heard
            elif word == "ran":  # the rest is up to the storage, and may take its time
                self._started.pop(name, None)
            else:
                self._forget(self._given[name])
                self._told(word)

    def _end_overdue(self, now: float) -> None:
        for name in list(self._started):
            outcome: Outcome = Wait("its process was ended because of another task", delay=0)
            if now >= self._due(name):
                outcome = Retry("timed out, and did not let go: its process was ended")
            self._end(self._given[name], outcome)

    def _due(self, name: str) -> float:
        """When its process is to be ended, if it has not let go by then."""
        return self._started[name] + self._registry.handlers[self._given[name].task.type].timeout + PATIENCE

    def _verdict(self, delivery: Delivery, manner: str) -> Outcome:
        if self._width == 1 and delivery.crashes >= ALONE + ("SIGKILL" in manner):
            return Fail(f"crash: it ended the process that ran it alone ({manner})")
        return Crash(f"its process died ({manner})")

    def _end(self, delivery: Delivery, outcome: Outcome) -> None:
        seconds = time.monotonic() - self._started.get(name_of(delivery), time.monotonic())
        self._forget(delivery)
        self._settle(Result(delivery, outcome, seconds))

    def _forget(self, delivery: Delivery) -> None:
        del self._given[name_of(delivery)]
        self._started.pop(name_of(delivery), None)


class Isolation:
    """A worker's cells: some for company, some for loners; `cell` makes one that runs so many at a time."""

    def __init__(self, cell: Callable[[int], Cell], concurrency: int, settle: Callable[[Result], None]) -> None:
        self._settle = settle
        self._companies = [cell(concurrency) for _ in range(COMPANIES)]
        self._full = 3 * math.isqrt(concurrency)  # suspects that do not pay another process
        self._loners = [cell(1) for _ in range(LONERS)]

    @property
    def _cells(self) -> list[Cell]:
        return [*self._companies, *self._loners]

    @property
    def load(self) -> int:
        """How many suspects have not ended."""
        return sum(cell.load for cell in self._cells)

    @property
    def waiting(self) -> list[Delivery]:
        """Those whose leases the worker has to prolong, because no cell has taken them over yet."""
        return [delivery for cell in self._cells for delivery in cell.waiting]

    def submit(self, suspects: Sequence[Delivery]) -> None:
        for delivery in suspects:
            if delivery.crashes < ALONE:
                min(self._companies, key=lambda cell: max(cell.load, self._full)).submit([delivery])
            elif delivery.crashes >= HOPELESS:
                self._settle(Result(delivery, Fail(f"crash: {delivery.crashes} processes died or froze under it"), 0.0))
            else:
                min(self._loners, key=lambda cell: cell.load).submit([delivery])

    def close(self) -> None:
        """Start nothing new; what runs may finish."""
        for cell in self._cells:
            cell.close()

    async def stop(self) -> None:
        """Have everything given back now."""
        await asyncio.gather(*(cell.stop() for cell in self._cells))


def name_of(delivery: Delivery) -> str:
    """What the two sides call a delivery. A task whose lease was lost may come again before its process knows."""
    return f"{delivery.task.id}.{delivery.fence}"


def _manner(code: int, words: Sequence[str]) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            where = f" at {place}" if (place := place_in(words)) else ""
            return f"signal {-code}, {signal.Signals(-code).name}{where}"
    return f"exit code {code}"
