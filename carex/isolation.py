"""Runs suspects alone: a task whose worker died under it twice gets a process of its own.

Many tasks are in flight when a worker dies, and most of them are innocent. So nothing is condemned by having been
there: only when the process that ran a task *alone* dies, and its worker lives to see it, is the task failed: a crash.
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
"""Crashes after which a task runs alone."""
PATIENCE = 5.0
"""Seconds beyond a handler's timeout after which its process is ended from outside."""
READY = b"ready\n"
IDLE = 10.0
"""Seconds without suspects after which the process for them is ended."""


class Cell:
    """A child process that runs one task at a time. It ends with us: it reads its tasks from a pipe that we hold."""

    def __init__(self, command: Sequence[str], registry: Registry, done: Callable[[Result], None]) -> None:
        self._command = command
        self._registry = registry
        self._done = done
        self._process: asyncio.subprocess.Process | None = None
        self._suspects: asyncio.Queue[Delivery] = asyncio.Queue()
        self._busy: asyncio.Task[None] | None = None

    @property
    def free(self) -> bool:
        """Whether a suspect would be run soon."""
        return self._suspects.qsize() < 2

    def submit(self, delivery: Delivery) -> None:
        self._suspects.put_nowait(delivery)
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._work())

    async def stop(self) -> None:
        if self._busy is not None:
            self._busy.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._busy
        await self._end()
        while not self._suspects.empty():
            self._done(Result(self._suspects.get_nowait(), Wait("the worker was stopped", delay=0), 0.0))

    async def _work(self) -> None:
        while True:
            try:
                delivery = await asyncio.wait_for(self._suspects.get(), IDLE)
            except asyncio.TimeoutError:
                await self._end()
                return
            began = time.perf_counter()
            try:
                outcome = await self._attempt(delivery)
            except asyncio.CancelledError:
                self._done(Result(delivery, Wait("the worker was stopped", delay=0), time.perf_counter() - began))
                raise
            except (OSError, ValueError) as error:  # no process to be had, or half an answer
                await self._end()
                outcome = Retry(f"the process for suspects failed: {error}")
            self._done(Result(delivery, outcome, time.perf_counter() - began))

    async def _attempt(self, delivery: Delivery) -> Outcome:
        process = await self._child()
        if process is None:
            return Wait("the process for suspects does not start; its words are in the worker's output", delay=30.0)
        if process.stdin is None or process.stdout is None:
            raise ValueError("it has no pipes")
        process.stdin.write(json.dumps(vars(delivery.task)).encode() + b"\n")
        timeout = self._registry.handlers[delivery.task.type].timeout
        try:
            line = await asyncio.wait_for(process.stdout.readline(), timeout + PATIENCE)
        except asyncio.TimeoutError:
            await self._end()
            return Retry(f"timed out after {timeout:g} s, and did not let go: its process was ended")
        if line:
            return _outcome_of(json.loads(line))
        how = await process.wait()
        self._process = None
        return Fail(f"crash: it ended the process that ran it alone ({_manner(how)})")

    async def _child(self) -> asyncio.subprocess.Process | None:
        """A process that is ready: what kills it from now on is what it runs."""
        if self._process is not None and self._process.returncode is not None:
            self._process = None
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=16 * 1024 * 1024,
                start_new_session=True,
            )
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
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ready = asyncio.Event()
    executor = Executor(settings, registry, people, 1, ready.set)
    await executor.start()
    answers.write(READY)
    while line := await reader.readline():
        task = Task(**json.loads(line))
        ready.clear()
        executor.submit([Delivery(task, 0, "alone", SUSPECT, time.time())])
        ended = asyncio.create_task(_ended(reader))
        await ready.wait()
        ended.cancel()
        (result,) = executor.take()
        answers.write(json.dumps(_as_line(result.outcome)).encode() + b"\n")
    os._exit(0)


async def _ended(reader: asyncio.StreamReader) -> None:
    """Our worker is gone: whoever claims the task next must not find us still at it."""
    while not reader.at_eof():  # noqa: ASYNC110 - a stream has no event for its end
        await asyncio.sleep(0.2)
    os._exit(0)


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
