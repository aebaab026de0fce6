"""Every queue backend, opened on its real storage. A new backend adds one line to `BACKENDS`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from carex.queue import Queue
from carex.queue.sqlite import SqliteQueue

LEASE = 30.0


@dataclass
class Clock:
    """Time that moves only when told."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Backend:
    """Opens queues that share one storage and one clock, as processes of one installation do."""

    open: Callable[[], Queue]
    clock: Clock = field(default_factory=Clock)


class RedisServer:
    """A real redis-server on a free port of this machine, with its data in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = ("--save", "", "--appendonly", "yes", *options)

    def start(self) -> None:
        """Return when it answers."""
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        self.process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self.process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64)[:5] in (b"+PONG", b"-NOAU")
        except OSError:
            return False

    def kill(self) -> None:
        """As a crash does: nothing is written any more."""
        self.process.kill()
        self.process.wait()

    def ask(self, *command: str) -> object:
        import redis

        with redis.Redis(port=self.port, decode_responses=True) as client:
            return client.execute_command(*command)


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    return tmp_path_factory.mktemp("redis")


@pytest.fixture(scope="session")
def shared_redis(redis_folder: Path) -> Iterator[RedisServer]:
    """One server for all tests that do it no harm."""
    server = RedisServer(redis_folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def start_redis(redis_folder: Path, tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts a server of one's own, with options as on its command line; ends them all."""
    servers = []

    def start(*options: str) -> RedisServer:
        servers.append(server := RedisServer(tmp_path, *options))
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()


def sqlite(request: pytest.FixtureRequest, folder: Path) -> Backend:
    clock = Clock()
    return Backend(lambda: SqliteQueue(folder / "queue.db", lease=LEASE, clock=clock, ticks=clock), clock)


def redis(request: pytest.FixtureRequest, folder: Path) -> Backend:
    from carex.queue.redis import RedisQueue

    server, clock = request.getfixturevalue("shared_redis"), Clock()
    server.ask("FLUSHALL")
    return Backend(lambda: cast("Queue", RedisQueue(server.url, lease=LEASE, clock=clock)), clock)


BACKENDS = {"sqlite": sqlite, "redis": redis}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](request, tmp_path)
