"""A Redis that is not set up as it should be, as the people who run Carex see it: what is wrong, and what mends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from carex.task import Task

if TYPE_CHECKING:
    from conftest import Installation, RedisServer

    StartRedis = Callable[..., RedisServer]

SECRET = "hunter2-s3cret"
UNFIT = {
    "no append-only file": (["--appendonly", "no"], "", ["CONFIG SET appendonly yes", "CONFIG REWRITE"]),
    "it evicts": (["--maxmemory-policy", "allkeys-lru"], "", ["allkeys-lru", "CONFIG SET maxmemory-policy noeviction"]),
    "no password": (["--requirepass", SECRET], "", ["refuses the login", "redis://USER:PASSWORD@HOST:PORT/DB"]),
    "wrong password": (["--requirepass", "x"], f":{SECRET}@", ["refuses the login", "USER:PASSWORD"]),
}


@pytest.mark.parametrize("command", [["worker"], ["serve", "--port", "0"], ["tasks", "list"], ["send", "zoo_tame"]])
@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_server_is_a_configuration_error_with_its_remedy_and_without_secrets(
    case: str, command: list[str], installation: Installation, start_redis: StartRedis
) -> None:
    options, login, says = UNFIT[case]
    redis = start_redis(*options)
    installation.move_to(redis.url.replace("//", f"//{login}"))
    tries = connections(redis)
    ended = installation.run(*command, timeout=30)
    assert ended.returncode == 3, ended.stderr
    assert [words for words in says if words not in ended.stderr] == []
    assert SECRET not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert connections(redis) - tries <= 4


def connections(redis: RedisServer) -> int:
    """How many the server has accepted so far, with this one."""
    info: Any = redis.ask("INFO", "stats")
    return int(info["total_connections_received"])


@pytest.fixture
def running(installation: Installation, start_redis: StartRedis) -> tuple[RedisServer, httpx.Client]:
    """A server and a worker, and a client of the server, on a Redis of their own."""
    redis = start_redis()
    installation.move_to(redis.url)
    installation.worker()
    _, address = installation.serve()
    return redis, httpx.Client(base_url=address, timeout=30)


def test_a_fail_over_to_a_replica_is_503_until_a_master_answers_again(
    running: tuple[RedisServer, httpx.Client], eventually: Callable[..., Any]
) -> None:
    redis, client = running
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    refused = put(client)
    assert refused.status_code == 503
    assert "read-only replica" in refused.json()["error"]["message"]
    assert tries_a_second(redis) < 5
    redis.ask("REPLICAOF", "NO", "ONE")
    id = eventually(lambda: put(client).json().get("task_id"), 5)
    eventually(lambda: state(client, id) == "done", 10)


def test_a_server_without_memory_is_503_and_workers_drain_it(
    running: tuple[RedisServer, httpx.Client], installation: Installation, eventually: Callable[..., Any]
) -> None:
    redis, client = running
    installation.put(*(Task("zoo_tame", {"seconds": 1.0}) for _ in range(300)))
    redis.ask("CONFIG", "SET", "maxmemory", "1mb")
    refused = put(client)
    assert refused.status_code == 503
    assert "out of memory" in refused.json()["error"]["message"]
    assert "retry-after" in refused.headers
    eventually(lambda: len(installation.entries("done")) == 300, what="draining a full server")
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert put(client).status_code == 202


def test_a_server_that_is_still_loading_is_503_and_then_used(
    running: tuple[RedisServer, httpx.Client], installation: Installation, eventually: Callable[..., Any]
) -> None:
    redis, client = running
    redis.ask("EVAL", "for n = 1, 30000 do redis.call('SET', 'ballast' .. n, n) end", "0")
    redis.kill()
    slowly = ("--key-load-delay", "100")
    redis.start(*slowly, saying=b"-LOADING")
    refused = put(client)
    assert refused.status_code == 503
    assert "still loading" in refused.json()["error"]["message"]
    id = eventually(lambda: put(client).json().get("task_id"), 30)
    eventually(lambda: state(client, id) == "done", 10)


def test_a_password_that_is_set_later_turns_readiness_red_and_ends_the_worker(
    running: tuple[RedisServer, httpx.Client], installation: Installation
) -> None:
    redis, client = running
    redis.ask("CONFIG", "SET", "requirepass", SECRET)
    redis.password = SECRET
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    refused = put(client)
    assert refused.status_code == 503
    assert "refuses the login" in refused.json()["error"]["message"]
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    assert installation.started[0].wait(30) == 3
    assert "USER:PASSWORD" in installation.said(installation.started[0])


def put(client: httpx.Client) -> httpx.Response:
    return client.post("/tasks/zoo_tame", json={})


def state(client: httpx.Client, id: str) -> str:
    return str(client.get(f"/tasks/{id}").json()["state"])


def tries_a_second(redis: RedisServer) -> float:
    """How often something connects while nothing calls."""
    before, began = connections(redis), time.monotonic()
    while time.monotonic() - began < 3:
        time.sleep(0.1)
    return (connections(redis) - before - 1) / (time.monotonic() - began)
