"""Redis goes away and comes back, under load, with `serve` and a worker running all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Installation, RedisServer


class Load:
    """Calls the server all the time, and remembers which tasks were accepted when, and how the others were refused."""

    def __init__(self, address: str, rate: float) -> None:
        self.accepted: dict[str, float] = {}
        self.refused: list[httpx.Response] = []
        self._address = address
        self._pause = 1 / rate
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        with httpx.Client(base_url=self._address, timeout=30) as client:
            while not self._end.wait(self._pause * 4):
                answer = client.post("/tasks/zoo_tame", json={"n": 1})
                if answer.is_success:
                    self.accepted[answer.json()["task_id"]] = time.time()
                else:
                    self.refused.append(answer)

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=[pytest.mark.chaos, pytest.mark.timeout(600)])])
def test_a_killed_server_costs_no_accepted_task_and_is_consumed_again_within_seconds(
    kills: int, installation: Installation, start_redis: Callable[..., RedisServer], eventually: Callable[..., Any]
) -> None:
    redis = start_redis("--appendfsync", "everysec")
    installation.move_to(redis.url)
    installation.worker()
    _, address = installation.serve()
    load = Load(address, rate=200)
    try:
        for _ in range(kills):
            before = len(load.accepted)
            eventually(lambda before=before: len(load.accepted) > before + 50, what="load")
            redis.kill()
            refused = len(load.refused)
            eventually(lambda refused=refused: len(load.refused) > refused + 5, what="refusals")
            redis.start()
            answering = time.time()
            eventually(lambda at=answering: _done_since(installation, at), 10, "a task put and done after the restart")
            assert time.time() - answering < 5
    finally:
        load.stop()
    eventually(lambda: set(load.accepted) <= {entry.task.id for entry in installation.entries("done")})
    assert {answer.status_code for answer in load.refused} == {503}
    assert all("retry-after" in answer.headers for answer in load.refused)
    assert installation.entries("failed", "waiting", "running") == []


def _done_since(installation: Installation, at: float) -> bool:
    return any(entry.task.created > at for entry in installation.entries("done"))


def test_a_worker_that_comes_up_before_its_redis_waits_for_it(
    installation: Installation, start_redis: Callable[..., RedisServer], eventually: Callable[..., Any]
) -> None:
    redis = start_redis()
    redis.kill()
    installation.move_to(redis.url)
    worker = installation.worker()
    _, address = installation.serve()
    assert "cannot be reached" in installation.said(worker)
    assert httpx.post(f"{address}/tasks/zoo_tame", json={}).status_code == 503
    assert httpx.get(f"{address}/ready").status_code == 503
    redis.start()
    id = eventually(lambda: httpx.post(f"{address}/tasks/zoo_tame", json={}).json().get("task_id"), 5)
    eventually(lambda: httpx.get(f"{address}/tasks/{id}").json()["state"] == "done", 10)
