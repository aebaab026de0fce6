"""A missing service is a skip on a laptop and a failure in CI. And the servers that tests of several kinds share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.servers import RedisServer


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("CAREX_TEST_REQUIRE") == "all":
        reporter.write_line(f"CAREX_TEST_REQUIRE=all, and {len(skipped)} tests were skipped.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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
