"""Finds out which task kills its process, without condemning its neighbours.

Many tasks are in flight when a worker dies, and most of them, if not all, are innocent: the machine was short of
memory, somebody used `kill -9`. So nothing is condemned for having been there. A task whose worker died under it twice
is a suspect. Suspects run together in a child process, at full speed. When that child dies, and its worker lives to see
it, those that it was running are run again by halves, each half in a fresh child, until one dies with a single task
in it: only that one is failed, as a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from carex import task as outcomes
from carex.executor import Executor, Result
from carex.people import People
from carex.queue import Delivery
from carex.registry import Registry
from carex.settings import Settings
from carex.task import Done, Fail, Outcome, Retry, Task, Wait

SUSPECT = 2
"""Crashes after which a task is a suspect."""
PATIENCE = 5.0
"""Seconds beyond a handler's timeout after which its process is ended from outside."""
IDLE = 10.0
"""Seconds without suspects after which the process for them is ended."""
READY = b"ready\n"
LONGEST_LINE = 64 * 1024 * 1024


class Cell:
    """A child process for suspects. It ends with us: it reads its tasks from a pipe that we hold.

    `done` is called with each result.
    """

    def __init__(self, command: Sequence[str], registry: Registry, done: Callable[[Result], None]) -> None:
        self._command = command
        self._registry = registry
        self._done = done
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: list[Delivery] = []
        self._flight: dict[str, Delivery] = {}
        self._began = 0.0
        self._manner = ""  # how the last child died
        self._work: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    @property
    def load(self) -> int:
        return len(self._waiting) + len(self._flight)

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        self._waiting += deliveries
        self._news.set()
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the child; what it was running, and what still waits, comes back as a `Wait`."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
        await self._end()
        for delivery in [*self._flight.values(), *self._waiting]:
            self._done(Result(delivery, Wait("the worker was stopped", delay=0), 0.0))

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._find(group)
            self._news.clear()
            if not self._waiting:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._news.wait(), IDLE)
        await self._end()

    async def _find(self, group: list[Delivery]) -> None:
        """Run a group together; if that ends its process, run by halves those that were left."""
        left = await self._together(group)
        if left and len(group) == 1:
            reason = f"crash: it ended the process that ran it alone ({self._manner})"
            self._done(Result(left[0], Fail(reason), time.monotonic() - self._began))
        elif left:
            middle = (len(left) + 1) // 2
            await self._find(left[:middle])
            await self._find(left[middle:])

    async def _together(self, group: list[Delivery]) -> list[Delivery]:
        """Run a group in the child; return those that it was running when it died."""
        self._flight = {delivery.task.id: delivery for delivery in group}
        child = await self._child()
        if child is None or child.stdin is None or child.stdout is None:
            self._give_up(group, Wait("the process for suspects does not start; its output says why", delay=30.0))
            return []
        self._began = time.monotonic()
        child.stdin.write(b"".join(json.dumps(vars(each.task)).encode() + b"\n" for each in group))
        while self._flight:
            first = min(self._timeout(delivery) for delivery in self._flight.values())
            try:
                line = await asyncio.wait_for(child.stdout.readline(), self._began + first - time.monotonic())
            except asyncio.TimeoutError:
                await self._end()
                overdue = [each for each in self._flight.values() if self._timeout(each) <= first]
                self._give_up(overdue, Retry("timed out, and did not let go: its process was ended"))
                self._waiting += self._flight.values()
                self._flight = {}
                return []
            if not line.endswith(b"\n"):
                self._manner = _manner(await child.wait())
                self._process = None
                left, self._flight = list(self._flight.values()), {}
                return left
            answer = json.loads(line)
            self._give_up([self._flight[answer.pop("id")]], _outcome_of(answer))
        return []

    def _give_up(self, group: list[Delivery], outcome: Outcome) -> None:
        for delivery in group:
            del self._flight[delivery.task.id]
            self._done(Result(delivery, outcome, time.monotonic() - self._began))

    def _timeout(self, delivery: Delivery) -> float:
        return self._registry.handlers[delivery.task.type].timeout + PATIENCE

    async def _child(self) -> asyncio.subprocess.Process | None:
        """A process that is ready: what kills it from now on is what it runs. None if it cannot be started."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, limit=LONGEST_LINE, start_new_session=True
            )
        except OSError:
            return None
        if self._process.stdout is None or await self._process.stdout.readline() != READY:
            await self._end()
        return self._process

    async def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None


async def serve_alone(settings: Settings, registry: Registry, people: People) -> None:
    """The child's side: run the tasks that come as lines on stdin, answer each with a line, end when stdin does."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a handler prints must not pass for an answer
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    def answer() -> None:
        for result in executor.take():
            line = {"id": result.delivery.task.id, **_as_line(result.outcome)}
            answers.write(json.dumps(line).encode() + b"\n")

    executor = Executor(settings, registry, people, settings.worker.concurrency, answer)
    await executor.start()
    answers.write(READY)
    while line := await reader.readline():
        executor.submit([Delivery(Task(**json.loads(line)), 0, "alone", SUSPECT, time.time())])
    os._exit(0)  # our worker is gone: whoever claims its tasks next must not find us still at them


def _as_line(outcome: Outcome) -> dict[str, Any]:
    return {"outcome": type(outcome).__name__, **vars(outcome)}


def _outcome_of(line: dict[str, Any]) -> Outcome:
    kind = line.pop("outcome")
    if kind == "Done":
        return Done(**line)
    made: Outcome = getattr(outcomes, kind)(**line)
    return made


def _manner(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {-code}, {signal.Signals(-code).name}"
    return f"exit code {code}"
