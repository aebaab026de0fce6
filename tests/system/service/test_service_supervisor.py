"""A real supervisord keeps a server and a worker running: one is killed, and nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from carex.task import Task
from tools.servers import free_port

if TYPE_CHECKING:
    from conftest import Installation
    from service.conftest import Supervisord

Eventually = Callable[..., Any]


def test_a_killed_worker_is_started_again_and_nothing_is_lost(
    installation: Installation, supervisord: Supervisord, tmp_path: Path, eventually: Eventually
) -> None:
    port, trace = free_port(), tmp_path / "trace"
    (tmp_path / "carex.toml").write_text(f"[server]\nport = {port}\n")
    options = ("--kind", "supervisor", "--directory", str(supervisord.conf_d))
    installed = installation.run("service", "install", "serve", "worker", *options)
    assert installed.returncode == 0, installed.stderr
    assert "ran  supervisorctl update carex-serve carex-worker" in installed.stderr
    eventually(lambda: (tmp_path / "logs").exists() and supervisord.control("pid", "carex-worker").strip() != "0")

    # Before: by hand. During: through the server, while the worker is killed and away.
    installation.put(*(Task("zoo_tame", {"trace": str(trace), "n": n, "seconds": 0.3}) for n in range(200)))
    eventually(lambda: installation.entries("running"))
    killed = int(supervisord.control("pid", "carex-worker"))
    os.kill(killed, signal.SIGKILL)
    for n in range(200, 250):
        answer = eventually(lambda n=n: _post(port, n, trace))
        assert answer.status_code == 202

    eventually(lambda: len(installation.entries("done")) == 250, 60)
    assert int(supervisord.control("pid", "carex-worker")) not in (0, killed)
    assert installation.entries("failed", "waiting", "running") == []
    assert {int(line.split()[0]) for line in trace.read_text().splitlines()} == set(range(250))

    found = eventually(lambda: _running(installation.ask("service", "status", *options)["parts"]), 20)
    assert found == {"serve": "running", "worker": "running"}


def test_supervisor_stops_a_worker_with_its_processes_without_giving_up_a_task(
    installation: Installation, supervisord: Supervisord, tmp_path: Path, eventually: Eventually
) -> None:
    (tmp_path / "carex.toml").write_text("[worker]\nprocesses = 2\n")
    options = ("--kind", "supervisor", "--directory", str(supervisord.conf_d))
    installation.run("service", "install", "worker", *options)
    installation.put(*(Task("zoo_tame", {"seconds": 2.0}) for _ in range(5)))
    eventually(lambda: len(installation.entries("running")) == 5)

    removed = installation.run("service", "uninstall", "--yes", *options)

    assert removed.returncode == 0, removed.stderr
    assert len(installation.entries("done")) == 5
    assert "carex-worker" not in supervisord.control("status")
    assert list(supervisord.conf_d.iterdir()) == []
    assert "stopped: carex-worker (exit status 0)" in supervisord.log()


def _post(port: int, n: int, trace: Path) -> httpx.Response | None:
    try:
        return httpx.post(f"http://127.0.0.1:{port}/tasks/zoo_tame", json={"trace": str(trace), "n": n})
    except httpx.ConnectError:
        return None


def _running(parts: list[dict[str, Any]]) -> dict[str, str] | None:
    active = {row["part"]: row["active"] for row in parts if row["active"]}
    return active if set(active.values()) == {"running"} else None
