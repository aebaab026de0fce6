"""Measures the bridge beside a plain one and a bare client, in interleaved rounds of one run.

drain    tasks that wait when the bridge starts: tasks/s between the first and the last end, by the engine's clock
latency  starts at a steady rate: milliseconds from an instance's start to its end, by the engine's clock
cpu      milliseconds of the bridge's own CPU time a task, in the drain

Every run has a process and a topic of its own, so that what a killed client's long poll still locks disturbs nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from tools.servers import FLAVOURS, Broker, Engine

from contenders import Contender
from environments import Unavailable, cache_folder, prepare

HERE = Path(__file__).parent
CLIENT = ("camunda-external-task-client-python3==4.5.0", "pydantic>=2", "httpx", "requests", "pika==1.4.4")
LONGEST = 120.0
MODEL = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
             xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="bench">
  <process id="{key}" isExecutable="true" camunda:historyTimeToLive="P1D">
    <startEvent id="s"/><sequenceFlow id="f" sourceRef="s" targetRef="t"/>
    <serviceTask id="t" camunda:type="external" camunda:topic="{key}"/>
    <sequenceFlow id="g" sourceRef="t" targetRef="e"/><endEvent id="e"/>
  </process>
</definitions>"""


@dataclass
class Rig:
    engine: Engine
    broker: Broker
    folder: Path
    plain: Path
    numbers: int = 0

    def process(self) -> str:
        """Deploy a process of its own; its key, which is also its topic."""
        self.numbers += 1
        key = f"bench{self.numbers}"
        self.engine.deploy(MODEL.format(key=key), key)
        return key

    def bare(self, key: str, most: int) -> subprocess.Popen[bytes]:
        return self._run([sys.executable, str(HERE / "bare.py"), self.engine.url, key, str(most)])

    def plain_bridge(self, key: str, most: int) -> subprocess.Popen[bytes]:
        where = [self.engine.url, "127.0.0.1", str(self.broker.port), key, str(most)]
        return self._run([str(self.plain), str(HERE / "plain.py"), *where])

    def carex(self, key: str, most: int) -> subprocess.Popen[bytes]:
        settings = {
            "CAMUNDA_BASE_URL": self.engine.url,
            "CAMUNDA_MAX_TASKS": str(most),
            "RABBITMQ_HOST": "127.0.0.1",
            "RABBITMQ_PORT": str(self.broker.port),
        }
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "carex", "--home", str(home), "camunda", "bridge"]
        return self._run(command, settings)

    def echo(self) -> subprocess.Popen[bytes]:
        return self._run([sys.executable, str(HERE / "echo.py"), "127.0.0.1", str(self.broker.port), "default.queue"])

    def _run(self, command: Sequence[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=said, stderr=said)

    def done(self, key: str) -> int:
        path = f"/history/process-instance/count?processDefinitionKey={key}&finished=true"
        return int(self.engine.call("GET", path)["count"])

    def wait_for(self, key: str, tasks: int) -> None:
        end = time.monotonic() + LONGEST
        while self.done(key) < tasks:
            if time.monotonic() > end:
                said = (self.folder / "said.txt").read_text(errors="replace")[-2000:]
                raise TimeoutError(f"{self.done(key)} of {tasks} tasks in {LONGEST:g} s\n{said}")
            time.sleep(0.25)

    def ended(self, key: str) -> list[dict[str, Any]]:
        path = f"/history/process-instance?processDefinitionKey={key}&finished=true&maxResults=100000"
        return list(self.engine.call("GET", path))


@dataclass
class Found:
    drain: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def add(self, other: dict[str, float]) -> None:
        for name, value in other.items():
            getattr(self, name).append(value)

    def medians(self) -> dict[str, float | None]:
        return {name: round(statistics.median(each), 2) if each else None for name, each in vars(self).items()}


Start = Callable[[str, int], "subprocess.Popen[bytes]"]


async def start_instances(url: str, key: str, times: int, rate: float | None) -> None:
    """Start instances as fast as the engine can, or at a steady rate."""
    started = time.monotonic()
    async with aiohttp.ClientSession() as session:

        async def one(number: int) -> None:
            if rate:
                await asyncio.sleep(max(started + number / rate - time.monotonic(), 0))
            async with limit, session.post(f"{url}/process-definition/key/{key}/start", json={}) as reply:
                await reply.read()

        limit = asyncio.Semaphore(64 if rate else 8)
        await asyncio.gather(*(one(number) for number in range(times)))


def drain(rig: Rig, start: Start, most: int, tasks: int) -> dict[str, float]:
    key = rig.process()
    asyncio.run(start_instances(rig.engine.url, key, tasks, None))
    process = start(key, most)
    try:
        rig.wait_for(key, tasks)
        cpu = cpu_seconds(process.pid)
    finally:
        end(process)
    ends = sorted(moment(each["endTime"]) for each in rig.ended(key))
    return {"drain": (tasks - 1) / max(ends[-1] - ends[0], 0.001), "cpu": cpu / tasks * 1000}


def latency(rig: Rig, start: Start, most: int, tasks: int, rate: float) -> dict[str, float]:
    key = rig.process()
    process = start(key, most)
    try:
        asyncio.run(start_instances(rig.engine.url, key, 50, 20))  # until it has come up and knows the topic
        rig.wait_for(key, 50)
        asyncio.run(start_instances(rig.engine.url, key, tasks, rate))
        rig.wait_for(key, tasks + 50)
    finally:
        end(process)
    newest = sorted(rig.ended(key), key=lambda each: str(each["startTime"]))[50:]
    took = sorted(float(each["durationInMillis"]) for each in newest)
    return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def moment(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def measure(rig: Rig, options: argparse.Namespace) -> dict[str, Found]:
    contenders: dict[str, tuple[Start, int]] = {
        "bare client": (rig.bare, 100),
        "plain, maxTasks 10": (rig.plain_bridge, 10),
        "plain, maxTasks 100": (rig.plain_bridge, 100),
        "Carex": (rig.carex, 100),
    }
    found = {name: Found() for name in contenders}
    say("warming the engine up")
    drain(rig, rig.bare, 100, options.warm)
    for number in range(1, options.rounds + 1):
        for name, (start, most) in contenders.items():
            found[name].add(drained := drain(rig, start, most, options.tasks))
            took = latency(rig, start, most, options.starts, options.rate) if options.starts else {}
            found[name].add(took)
            say(
                f"round {number} of {options.rounds}: {name}: "
                + ", ".join(f"{k} {v:.1f}" for k, v in (drained | took).items())
            )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flavour", choices=FLAVOURS, default="operaton")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=1000, help="tasks of a drain")
    parser.add_argument("--warm", type=int, default=2000, help="tasks before the first round")
    parser.add_argument("--starts", type=int, default=600, help="starts of a latency run; 0 leaves it out")
    parser.add_argument("--rate", type=float, default=100.0, help="starts a second")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    plain = Contender("plain-bridge", "plain bridge", "", False, "plain", CLIENT)
    try:
        python = prepare(plain, cache_folder())
    except Unavailable as error:
        say(f"The plain bridge {error}")
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carex-bench-")))
        engine, broker = Engine(options.flavour, folder), Broker(folder)
        engine.start()
        stack.callback(engine.kill)
        broker.start()
        stack.callback(broker.close)
        engine.ready()
        broker.ready()
        rig = Rig(engine, broker, folder, python)
        stack.callback(end, rig.echo())
        medians = {name: each.medians() for name, each in measure(rig, options).items()}
    print(json.dumps(medians, indent=1))
    drained = {name: each["drain"] or 1.0 for name, each in medians.items()}
    best = max(rate for name, rate in drained.items() if name.startswith("plain"))
    ours, bare = drained["Carex"], drained["bare client"]
    say(f"Carex: {ours / best:.2f} times the plain bridge, {ours / bare:.0%} of the bare client")
    if options.json:
        options.json.write_text(json.dumps(medians, indent=1) + "\n")
    return 0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
