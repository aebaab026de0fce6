"""Several machines on one Redis: each home a machine of its own, with its own `.env`."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from carex.task import Task

if TYPE_CHECKING:
    from conftest import Installation, RedisServer, SimulatedPortal


@pytest.fixture
def moved(installation: Installation, shared_redis: RedisServer) -> Installation:
    """An installation that was moved to Redis by a line in its `.env`."""
    shared_redis.ask("FLUSHALL")
    installation.move_to(shared_redis.url)
    return installation


@pytest.fixture
def another(moved: Installation, tmp_path: Path) -> Iterator[Installation]:
    """A second home on the same Redis."""
    home = type(moved)(tmp_path / "another")
    home.move_to(moved.queue_url)
    yield home
    for process in home.started:
        process.kill()
        process.wait(10)


def test_redis_url_in_env_moves_an_installation_which_says_what_a_power_failure_would_cost(
    moved: Installation, eventually: Any
) -> None:
    server, address = moved.serve()
    worker = moved.worker()
    id = httpx.post(f"{address}/tasks/zoo_tame", json={"n": 3}).json()["task_id"]
    eventually(lambda: httpx.get(f"{address}/tasks/{id}").json()["state"] == "done")
    for process in (server, worker):
        eventually(lambda process=process: "a power failure now would cost at most those" in moved.said(process))
    assert not (moved.home / "data" / "queue.db").exists()
    assert moved.ask("tasks", "show", id)["result"] == {"n": 3}


def test_the_kept_metrics_count_the_work_of_all_homes(
    moved: Installation, another: Installation, eventually: Any
) -> None:
    _, address = moved.serve()
    moved.worker("--types", "zoo_tame")
    another.worker("--types", "zoo_sync,zoo_failing")
    moved.put(*(Task(f"zoo_{kind}") for kind in ("tame", "sync", "failing", "waiting")))

    def metrics() -> dict[str, float]:
        lines = httpx.get(f"{address}/metrics").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    eventually(lambda: metrics()["company_tasks_processed_total"] == 3)
    found = metrics()
    assert found["company_tasks_in_queue"] == 1
    assert found["company_tasks_in_queue_errors"] == 1
    assert found["company_task_processing_time_second_count"] == 3
    assert found["carex_workers"] == 2


def test_one_home_assigns_people_until_another_takes_over(
    moved: Installation, another: Installation, portal: Callable[..., SimulatedPortal], eventually: Any
) -> None:
    bitrix = portal("--rate", "1000", "--capacity", "1000")
    another.env["WEBHOOK_CAREX"] = moved.env["WEBHOOK_CAREX"]
    another.employ(8)
    first = moved.worker()
    moved.put(Task("bitrix_assign", {"deal_id": 1}))
    eventually(lambda: 1 in bitrix.responsible())
    first.terminate()
    assert first.wait(30) == 0

    second = another.worker()
    moved.put(Task("bitrix_assign", {"deal_id": 2}), Task("zoo_tame"))
    eventually(lambda: "carex users take-over" in another.said(second))
    eventually(lambda: [entry.task.type for entry in moved.entries("done")] == ["zoo_tame", "bitrix_assign"])
    eventually(lambda: [str(moved.home) in entry.reason for entry in moved.entries("waiting")] == [True])
    assert 2 not in bitrix.responsible()

    assert another.run("users", "take-over", "--yes").returncode == 0
    second.terminate()
    assert second.wait(30) == 0
    another.worker()
    eventually(lambda: 2 in bitrix.responsible())


def test_workers_are_named_with_what_they_do_and_disappear_when_dead(
    either: Installation, tmp_path: Path, eventually: Any
) -> None:
    either.env["CAREX_QUEUE__LEASE"] = "2"
    victim, idle = either.worker("--types", "zoo_tame"), either.worker("--types", "zoo_sync,zoo_failing")
    assert either.running_at(victim)() == []
    either.put(*(Task("zoo_tame", {"seconds": 600}) for _ in range(3)))
    eventually(lambda: len(either.entries("running")) == 3)

    def known() -> dict[int, dict[str, Any]]:
        return {each["pid"]: each for each in either.ask("workers")["workers"]}

    eventually(lambda: set(known()) == {victim.pid, idle.pid})
    found = known()
    busy = found[victim.pid]
    assert (busy["alive"], busy["running"], busy["doing"], busy["types"]) == (True, 3, "zoo_tame", ["zoo_tame"])
    assert busy["host"] == re.sub(r"[^\w.-]", "", os.uname().nodename)[: len(busy["host"])] != ""
    assert 0 <= busy["silent"] < 3
    assert busy["started"] <= busy["since"]
    assert (found[idle.pid]["running"], found[idle.pid]["doing"]) == (0, "")
    assert f"at {busy['id']}" in either.run("tasks", "list", "--state", "running").stdout
    assert "zoo_tame for" in either.run("workers").stdout

    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: set(known()) == {idle.pid})


def test_no_worker_is_said(either: Installation) -> None:
    ended = either.run("workers")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "carex worker" in ended.stderr
