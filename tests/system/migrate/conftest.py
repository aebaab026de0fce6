"""Old installations, made exactly as their README says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Installation
from tools.servers import RedisServer

TASKS = "task_random_queue"
SECRET = "s3cr3tk3y0fth3p0rta1"


@dataclass
class OldDistributor:
    """A checkout of the deal distributor with its `.env`, its users and its lists."""

    folder: Path
    redis: RedisServer

    def __post_init__(self) -> None:
        (self.folder / "src" / "BD").mkdir(parents=True)
        (self.folder / "src" / "Scripts").mkdir()
        (self.folder / "src" / "Scripts" / "setup_supervisor.sh").write_text("#!/bin/bash\n")
        self.env(f"REDIS_URL={self.redis.url}\nWEBHOOK_CAREX=https://bitrix24.ru/rest/7/{SECRET}/\n")
        self.employ()

    @property
    def database(self) -> Path:
        return self.folder / "src" / "BD" / "users.db"

    def env(self, text: str) -> None:
        (self.folder / ".env").write_text(text)

    def employ(self, *users: tuple[Any, str, Any]) -> None:
        """As `python -m src.BD.init_db` does it."""
        with sqlite3.connect(self.database) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS users (user_id TEXT PRIMARY KEY, user_name TEXT, is_excluded INTEGER)"
            )
            connection.executemany("INSERT OR REPLACE INTO users VALUES (?, ?, ?)", users)
        connection.close()

    def push(self, *items: str, name: str = TASKS) -> None:
        """As the old server does it, and the old worker with what failed."""
        self.redis.ask("RPUSH", name, *items)

    def list(self, name: str = TASKS) -> list[str]:
        found = self.redis.ask("LRANGE", name, "0", "-1")
        assert isinstance(found, list)
        return found

    def moving(self) -> list[str]:
        """The lists that are on their way."""
        return [key for key in self.keys() if ":moving-to-carex:" in key]

    def dump(self) -> dict[bytes, Any]:
        """Everything in Redis, byte for byte."""
        import redis

        with redis.Redis.from_url(self.redis.url) as client:
            return {key: client.dump(key) for key in client.keys("*")}

    def keys(self) -> dict[str, list[str]]:
        """Every list of the old database."""
        found = self.redis.ask("KEYS", "*")
        assert isinstance(found, list)
        return {key: self.list(key) for key in sorted(found) if not key.startswith("carex:")}


@pytest.fixture
def make_old(shared_redis: RedisServer, tmp_path: Path) -> Callable[[str], OldDistributor]:
    """Make an old installation in a folder of this name, with a Redis that has nothing else."""

    def make(name: str) -> OldDistributor:
        shared_redis.ask("FLUSHALL")
        return OldDistributor(tmp_path / name, shared_redis)

    return make


@pytest.fixture
def old(either: Installation, make_old: Callable[[str], OldDistributor]) -> OldDistributor:
    """An old installation, beside a Carex on each backend."""
    return make_old("old")


@pytest.fixture
def migrate(either: Installation, old: OldDistributor) -> Callable[..., dict[str, Any]]:
    """Move the old installation over, and return what was said to programs; it ends with the expected exit code."""

    def run(*options: str, code: int = 0) -> dict[str, Any]:
        ended = either.run("migrate", "tasks", "--from", str(old.folder), "--yes", "--json", *options)
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout) if ended.stdout else {}
        return found

    return run
