"""What systemd is told by real processes: ready when they are, alive as long as they are, stopping when told to."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from carex.task import Task
from tests.system.conftest import commands

if TYPE_CHECKING:
    from conftest import Installation
    from service.conftest import Told

Eventually = Callable[..., Any]


def test_a_worker_says_when_it_is_ready_alive_and_stopping(installation: Installation, told: Told) -> None:
    worker = installation.start("worker")
    told.until("READY=1")
    first = told.until("WATCHDOG=1")
    last = told.until("WATCHDOG=1", times=5)
    worker.terminate()
    told.until("STOPPING=1")
    assert worker.wait(20) == 0
    assert 5 * 0.2 <= last - first + 0.2 < 3.0
    assert (told.words().count("READY=1"), told.words().count("STOPPING=1")) == (1, 1)


def test_a_server_that_says_it_is_ready_answers(installation: Installation, told: Told) -> None:
    server, url = installation.serve()
    told.until("READY=1")
    assert httpx.get(f"{url}/health").status_code == 200
    told.until("WATCHDOG=1", times=3)
    server.terminate()
    told.until("STOPPING=1")
    assert server.wait(20) == 0


@pytest.mark.parametrize("told", ["path"], indirect=True)
def test_a_bridge_is_ready_while_it_still_tries_to_reach_the_others(installation: Installation, told: Told) -> None:
    installation.env |= {"CAMUNDA_BASE_URL": "http://127.0.0.1:1/engine-rest", "RABBITMQ_PORT": "1"}
    bridge = installation.start("camunda", "bridge")
    told.until("READY=1")
    told.until("WATCHDOG=1", times=3)
    assert any(line.startswith("STATUS=Monitor - Uptime:") for _, lines in told.seen for line in lines)
    bridge.terminate()
    told.until("STOPPING=1")
    assert bridge.wait(20) == 0


@pytest.mark.parametrize("told", ["path"], indirect=True)
def test_a_worker_whose_storage_does_not_answer_is_alive_but_not_ready(installation: Installation, told: Told) -> None:
    installation.env["REDIS_URL"] = "redis://127.0.0.1:1/0"
    worker = installation.start("worker")
    told.until("WATCHDOG=1", times=5)
    worker.terminate()
    told.until("STOPPING=1")
    assert "READY=1" not in told.words()


@pytest.mark.parametrize("told", ["path"], indirect=True)
def test_a_handler_that_blocks_its_loop_does_not_silence_the_worker(
    installation: Installation, told: Told, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    installation.put(Task("zoo_blocking", {"trace": str(trace)}))
    installation.worker()
    while not trace.exists():
        told.until("WATCHDOG=1")
    before = told.until("WATCHDOG=1")
    after = told.until("WATCHDOG=1", times=10)
    assert after - before < 5.0


@pytest.mark.parametrize("told", ["path"], indirect=True)
def test_a_worker_that_stands_still_is_silent(installation: Installation, told: Told) -> None:
    worker = installation.start("worker")
    told.until("READY=1")
    worker.send_signal(signal.SIGSTOP)
    with pytest.raises(pytest.fail.Exception):
        told.until("WATCHDOG=1", times=10, seconds=2.5)


@pytest.mark.parametrize("told", ["abstract"], indirect=True)
def test_of_several_processes_the_parent_speaks_for_all(
    installation: Installation, told: Told, eventually: Eventually
) -> None:
    parent = installation.start("worker", "--processes", "2")
    told.until("READY=1")
    children = commands(parent.pid)
    assert installation.said(parent).count("at a time of") == 2
    assert ["--supervised" in args for args in children.values()].count(True) == 2
    assert len(children) == 3, "them and their nursery"
    assert not any(told.address.encode() in Path(f"/proc/{pid}/environ").read_bytes() for pid in children)
    told.until("WATCHDOG=1", times=3)
    parent.terminate()
    told.until("STOPPING=1")
    assert parent.wait(30) == 0
    assert (told.words().count("READY=1"), told.words().count("STOPPING=1")) == (1, 1)
