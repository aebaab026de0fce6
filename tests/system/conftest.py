"""The real command in real processes, each ended by the id it was started with."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from carex.queue import Entry, Filter, Queue, State, open_queue
from carex.task import Task

T = TypeVar("T")
PLUGINS = Path(__file__).parent / "plugins"


def until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "the condition") -> Any:
    """Wait for a condition and return what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail(f"{what} did not come true within {seconds:g} s")


@dataclass
class Installation:
    """One Carex home, and the processes started in it."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CAREX_", "WEBHOOK_", "REDIS_"))
        }
        return {**kept, "PYTHONPATH": str(PLUGINS), "COLUMNS": "200", **self.env}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "carex", "--home", str(self.home), *args]

    def run(self, *args: str, input: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args), env=self._environment(), input=input, timeout=timeout, capture_output=True, text=True
        )

    def ask(self, *args: str) -> dict[str, Any]:
        """Run a command with --json and return what it printed; it must have ended well."""
        ended = self.run(*args, "--json")
        assert ended.returncode == 0, ended.stderr
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start a command that stays; what it says goes to HOME/NUMBER.txt."""
        said = (self.home / f"{len(self.started)}.txt").open("w")
        process = subprocess.Popen(
            self.command(*args), env=self._environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True
        )
        said.close()
        self.started.append(process)
        return process

    def said(self, process: subprocess.Popen[str]) -> str:
        return (self.home / f"{self.started.index(process)}.txt").read_text()

    def worker(self, *args: str) -> subprocess.Popen[str]:
        """A worker that has come up."""
        process = self.start("worker", *args)
        until(lambda: "at a time of" in self.said(process), what="the worker's start")
        return process

    def with_queue(self, act: Callable[[Queue], Awaitable[T]]) -> T:
        """Do something to the installation's queue, as a process of its own would."""

        async def run() -> T:
            queue = open_queue(f"sqlite://{self.home}/data/queue.db")
            try:
                return await act(queue)
            finally:
                await queue.close()

        return asyncio.run(run())

    def put(self, *tasks: Task) -> None:
        self.with_queue(lambda queue: queue.put(tasks))

    def entries(self, *states: State) -> list[Entry]:
        return self.with_queue(lambda queue: queue.tasks(Filter(states=states)))

    def entry(self, task: Task) -> Entry:
        (found,) = self.with_queue(lambda queue: queue.tasks(Filter(ids=[task.id])))
        return found


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    home = Installation(tmp_path)
    yield home
    for process in home.started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(10)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(condition, seconds=20)`: wait for a condition, with a deadline."""
    return until
