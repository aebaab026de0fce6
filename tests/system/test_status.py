"""`carex status` and `carex top`: what is waiting and why, who works, what failed."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from carex.queue import Queue
from carex.task import Fail, Task

if TYPE_CHECKING:
    from conftest import Installation

Eventually = Callable[..., Any]


def test_tasks_that_nobody_works_on_are_shown_with_the_reason(either: Installation) -> None:
    either.put(Task("zoo_tame", {}), Task("zoo_tame", {}))

    found = either.ask("status")

    assert found["types"] == [{"type": "zoo_tame", "waiting": 2, "running": 0, "failed": 0, "per_second": {}}]
    assert found["why"] == "no worker runs"
    assert (found["workers"], found["bridge"]) == ([], None)


def test_failures_are_grouped_by_cause(installation: Installation) -> None:
    async def act(queue: Queue) -> None:
        await queue.put([Task("zoo_tame", {}) for _ in range(3)])
        deliveries = await queue.claim(["*"], 3)
        reasons = ["deal 1 is not there", "deal 22 is not there", "the cage is closed"]
        await queue.settle([(each, Fail(reason)) for each, reason in zip(deliveries, reasons, strict=True)])

    installation.with_queue(act)

    found = installation.ask("status")

    assert [(each["tasks"], each["cause"]) for each in found["errors"]] == [
        (2, "deal … is not there"),
        (1, "the cage is closed"),
    ]


def test_a_busy_worker_is_shown_with_what_it_does_and_its_rate(
    installation: Installation, eventually: Eventually
) -> None:
    installation.worker()
    installation.put(*(Task("zoo_tame", {"seconds": 0.05 * n}) for n in range(100)))

    eventually(lambda: any(each["per_second"].get("done") for each in installation.ask("status")["types"]))
    found = installation.ask("status")

    assert [each["alive"] for each in found["workers"]] == [True]


def test_the_limits_of_the_portal_are_shown(
    installation: Installation, portal: Callable[..., Any], eventually: Eventually
) -> None:
    portal()
    installation.run("users", "sync")
    (limit,) = installation.ask("status")["limits"]

    assert limit["name"].startswith("bitrix24:")
    assert 0 < limit["room"] <= limit["burst"] == 50
    assert (limit["per_second"], limit["closed"]) == (2.0, [])


def test_an_engine_that_does_not_answer_is_said_and_the_rest_is_shown(installation: Installation) -> None:
    installation.env |= {"CAMUNDA_BASE_URL": "http://127.0.0.1:1/engine-rest", "RABBITMQ_PORT": "1"}

    ended = installation.run("status")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Connection refused") == 2
    assert "\x1b" not in ended.stdout


def test_top_shows_it_live_until_q(installation: Installation) -> None:
    installation.put(Task("zoo_tame", {}))
    mine, theirs = pty.openpty()
    command = installation.command("top", "--every", "0.3")
    process = subprocess.Popen(
        command, env={**os.environ, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)

    seen = b""
    while b"q quits" not in seen:
        seen += os.read(mine, 65536)
    os.write(mine, b"q")

    assert b"no worker runs" in seen
    assert process.wait(20) == 0


def test_top_without_a_terminal_shows_it_once(installation: Installation) -> None:
    installation.put(Task("zoo_tame", {}))

    ended = installation.run("top")

    assert ended.returncode == 0, ended.stderr
    assert "no worker runs" in ended.stdout
