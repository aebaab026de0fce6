"""The real command in real processes, each ended by the id it was started with."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from carex.people import Decision, Directory, open_people
from carex.queue import Entry, Filter, Queue, State, open_queue
from carex.task import Task

T = TypeVar("T")
PEOPLE = 8
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


def lives(pid: int) -> bool:
    """Whether there is such a process, and not only its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def commands(of: int) -> dict[int, str]:
    """The command lines of a process's descendants, by process id."""
    listing = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    found: dict[int, str] = {}
    family = {of}
    while True:
        more = {int(pid): args for pid, parent, args in rows if int(parent) in family and int(pid) not in family}
        if not more:
            return found
        found |= more
        family |= set(more)


@dataclass
class Installation:
    """One Carex home, and the processes started in it."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    queue_url: str = ""

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.queue_url = self.queue_url or f"sqlite://{self.home}/data/queue.db"

    def move_to(self, redis: str) -> None:
        """As an administrator does it who outgrew the embedded queue."""
        self.queue_url = redis
        (self.home / ".env").write_text(f"REDIS_URL={redis}\n")

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CAREX_", "WEBHOOK_", "REDIS_"))
        }
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PLUGINS), kept.get("PYTHONPATH")])),
            "COLUMNS": "200",
            **self.env,
        }

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

    def employ(self, people: int) -> None:
        directory = Directory(self.home / "data" / "people.db")
        for number in range(1, people + 1):
            directory.add(number, f"Сотрудник {number}")
        directory.close()

    def worker(self, *args: str) -> subprocess.Popen[str]:
        """A worker that has come up."""
        process = self.start("worker", *args)
        until(lambda: "at a time of" in self.said(process), what="the worker's start")
        return process

    def serve(self, port: int = 0) -> tuple[subprocess.Popen[str], str]:
        """A server that has come up, and its address."""
        process = self.start("serve", "--port", str(port))
        found = until(lambda: re.search(r"http://[\d.]+:\d+", self.said(process)), what="the server's start")
        return process, found.group()

    def with_queue(self, act: Callable[[Queue], Awaitable[T]]) -> T:
        """Do something to the installation's queue, as a process of its own would."""

        async def run() -> T:
            queue = open_queue(self.queue_url, lease=float(self.env.get("CAREX_QUEUE__LEASE", "30")))
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

    def running_at(self, worker: subprocess.Popen[str]) -> Callable[[], list[Entry]]:
        """What a worker's process runs now."""
        return lambda: [entry for entry in self.entries("running") if _pid_of(entry.holder) == worker.pid]

    def decisions(self) -> list[Decision]:
        async def look() -> list[Decision]:
            people = open_people(self.home / "data" / "people.db")
            try:
                return await people.decisions()
            finally:
                await people.close()

        return asyncio.run(look())


def _pid_of(holder: str | None) -> int:
    """A holder is named HOST:PID:RANDOM or HOST-PID-RANDOM."""
    return int(re.split("[:-]", holder)[-2]) if holder else 0


class SimulatedPortal:
    """The simulated portal in a process of its own."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "carex_bitrix24.simulator", "--employees", str(PEOPLE), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        said = json.loads(self.process.stdout.readline())
        self.webhook, self._admin = said["webhook"], said["admin"]

    def fault(self, **fault: Any) -> None:
        httpx.post(f"{self._admin}/faults", json=fault).raise_for_status()

    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self._admin}/ledger", timeout=30).json()
        return found

    def responsible(self, entity_type_id: int = 2) -> dict[int, set[int]]:
        """Who was made responsible for what, through all of time."""
        found: dict[int, set[int]] = {}
        for change in self.ledger()["changes"]:
            if change["entity_type_id"] == entity_type_id and change["field"] == "assignedById":
                found.setdefault(change["item_id"], set()).add(change["new"])
        return found

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


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


@pytest.fixture(params=["sqlite", "redis"])
def either(request: pytest.FixtureRequest, installation: Installation) -> Installation:
    """An installation on each backend."""
    if request.param == "redis":
        server = request.getfixturevalue("shared_redis")
        server.ask("FLUSHALL")
        installation.move_to(server.url)
    return installation


@pytest.fixture
def portal(installation: Installation) -> Iterator[Callable[..., SimulatedPortal]]:
    """Start a portal, with the installation pointed at it and its people known."""
    started: list[SimulatedPortal] = []

    def start(*options: str) -> SimulatedPortal:
        started.append(SimulatedPortal(*options))
        installation.env["WEBHOOK_CAREX"] = started[-1].webhook
        if "--rate" in options:
            installation.env["CAREX_PLUGINS__BITRIX24__REQUESTS_PER_SECOND"] = options[options.index("--rate") + 1]
        installation.employ(PEOPLE)
        return started[-1]

    yield start
    for each in started:
        each.stop()
