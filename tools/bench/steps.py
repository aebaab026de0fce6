"""The measurements themselves. Each has fresh folders and a fresh Redis, and gives up after a minute."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders import Contender
from processes import HERE, cpu, environment, memory, redis_server, running, until

TIMEOUT = 60.0
NAP = 0.05
Values = dict[str, float]


class Failed(Exception):
    """A measurement gave no result; the message says why."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    one: int = 2_000
    many: int = 10_000
    naps: int = 2_000
    paced: int = 300
    rate: float = 20.0
    idle: float = 10.0
    backlog: int = 100_000
    seconds: float = 5.0
    """Of requests, at each number of connections."""

    @classmethod
    def small(cls) -> Sizes:
        """Enough to see that everything works, too little to conclude anything."""
        return cls(one=100, many=1_000, naps=300, paced=20, idle=1.0, backlog=5_000, seconds=0.5)


@dataclass(frozen=True)
class Stage:
    """A contender, its interpreter, and a place of its own."""

    contender: Contender
    python: Path
    folder: Path
    env: Mapping[str, str]

    def command(self, *words: object) -> list[str]:
        return [str(self.python), "-m", "peers.script", self.contender.module, *map(str, words)]

    def put(self, count: int, nap: float, how: str) -> dict[str, Any]:
        """Put tasks in a process of its own; what it said."""
        return run(self.command("put", count, nap, how), self.env)

    @contextmanager
    def worker(self, threads: int, expect: int) -> Iterator[subprocess.Popen[bytes]]:
        env = {**self.env, "BENCH_EXPECT": str(expect)}
        with running(self.command("worker", threads), env, self.folder / "worker.txt") as process:
            yield process

    @property
    def record(self) -> Path:
        return Path(self.env["BENCH_RECORD"])

    def ended(self, process: subprocess.Popen[bytes], timeout: float = TIMEOUT) -> dict[str, Any]:
        """What the worker's handlers saw. Raises Failed."""
        if not until(lambda: self.record.exists() or process.poll() is not None, timeout) or not self.record.exists():
            raise Failed(f"the worker {self._what_it_said(process)}")
        found: dict[str, Any] = json.loads(self.record.read_text())
        return found

    def began(self, process: subprocess.Popen[bytes]) -> float:
        """When the first handler started, on the monotonic clock. Raises Failed."""
        first = self.record.with_suffix(".first")
        if not until(lambda: (first.exists() and first.read_text()) or process.poll() is not None, 20) or not (
            first.exists()
        ):
            raise Failed(f"the worker {self._what_it_said(process)}")
        return float(first.read_text())

    def _what_it_said(self, process: subprocess.Popen[bytes]) -> str:
        how = "took too long" if process.poll() is None else f"ended with {process.returncode}"
        return f"{how}; it said last: {last_said(self.folder / 'worker.txt')}"


@contextmanager
def stage(contender: Contender, python: Path) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="carex-bench-") as name:
        folder = Path(name)
        with redis_server(folder, contender.fsync) as port:
            redis = f"redis://127.0.0.1:{port}/0"
            env = environment(
                BENCH_HOME=name,
                BENCH_REDIS=redis,
                BENCH_RECORD=str(folder / "record.json"),
                BENCH_QUEUE=(contender.queue or "").format(home=name, redis=redis),
            )
            yield Stage(contender, python, folder, env)


def run(command: list[str], env: Mapping[str, str]) -> dict[str, Any]:
    """Run a script that prints one JSON object last. Raises Failed."""
    try:
        ended = subprocess.run(command, env=env, cwd=HERE, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command[2:])} took longer than {TIMEOUT:g} s") from None
    if ended.returncode:
        raise Failed(f"{' '.join(command[2:])}: {_last(ended.stderr)}")
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def last_said(file: Path) -> str:
    return _last(file.read_text(errors="replace"))


def _last(text: str) -> str:
    """The last two lines: what is wrong, and what to try."""
    return " ".join(line.strip() for line in text.strip().splitlines()[-2:]) or "nothing"


def put_one(contender: Contender, python: Path, sizes: Sizes) -> Values:
    with stage(contender, python) as on:
        said = on.put(sizes.one, 0, "one")
    return {"put_one": said["put"] / said["seconds"]}


def put_many_and_drain(contender: Contender, python: Path, sizes: Sizes) -> Values:
    """Queue no-ops, then start a worker: tasks a second from its first handler's end to its last one's."""
    with stage(contender, python) as on:
        put = on.put(sizes.many, 0, "many")
        with on.worker(contender.threads, sizes.many) as process:
            saw = on.ended(process)
    found = {"drain": _rate(saw), "drain_cpu": saw["cpu"] / saw["ended"] * 1e6}
    return {**found, "put_many": put["put"] / put["seconds"]} if put["many"] else found


def drain_backlog(contender: Contender, python: Path, sizes: Sizes) -> Values:
    with stage(contender, python) as on:
        on.put(sizes.backlog, 0, "many")
        with on.worker(contender.threads, sizes.backlog) as process:
            return {"backlog": _rate(on.ended(process))}


def naps(contender: Contender, python: Path, sizes: Sizes) -> Values:
    """Tasks that sleep 50 ms, 100 at a time, from the first one's start to the last one's end: 2,000/s is the most."""
    with stage(contender, python) as on:
        on.put(sizes.naps, NAP, "many")
        with on.worker(100, sizes.naps) as process:
            saw = on.ended(process)
    return {"naps": saw["ended"] / (saw["last_end"] - saw["first_start"])}


def idle(contender: Contender, python: Path, sizes: Sizes) -> Values:
    """Start to the first task, memory and CPU of a worker without work, then how soon it starts what is put."""
    with stage(contender, python) as on:
        on.put(1, 0, "one")
        started = time.monotonic()
        with on.worker(contender.threads, 1 + sizes.paced) as process:
            start = on.began(process) - started
            time.sleep(2)
            before = cpu(process)
            time.sleep(sizes.idle)
            used = (cpu(process) - before) / sizes.idle
            rss = memory(process)
            pace = on.command("pace", sizes.paced, sizes.rate)
            with running(pace, on.env, on.folder / "pace.txt"):
                saw = on.ended(process, timeout=10 + 2 * sizes.paced / sizes.rate)
    latencies = [1000 * seconds for seconds in saw["latencies"][1:]]
    cuts = statistics.quantiles(latencies, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "start": start, "memory": rss, "idle": used * 100}


def _rate(saw: Mapping[str, Any]) -> float:
    return float((saw["ended"] - 1) / (saw["last_end"] - saw["first_end"]))
