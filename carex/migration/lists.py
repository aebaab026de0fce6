"""The old distributor's lists in Redis, taken so that no moment of being killed loses or doubles anything.

1. A list is renamed to `LIST:moving-to-carex:MILLISECONDS`, in one step: from then on no old worker finds it.
2. Its items are put into Carex's queue. A task's id follows from the new name and the item's place, so putting it once
   more changes nothing; who was chosen for it is in the ledger under that id, even after the task is long done.
3. In one transaction of Redis the items go to `LIST:moved-to-carex`, what nobody can read to `LIST:unreadable`, and
   what no handler takes back to where it was. Nothing is deleted.

After a kill between 1 and 3 the next run finds the renamed list and goes on with 2.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from carex.errors import ConfigError, UsageError

MOVING, MOVED, UNREADABLE = ":moving-to-carex:", ":moved-to-carex", ":unreadable"
PAGE = 1000
"""Items that one command carries."""


class Taken(NamedTuple):
    """A list that was renamed, and its items from the oldest to the newest."""

    name: str
    """As the old system calls it."""
    key: str
    items: Sequence[bytes]

    def task_id(self, place: int) -> str:
        """The id of the task for the item at this place: always the same, and sorted by the time of the renaming."""
        stamp = int(self.key.rpartition(":")[2])
        return f"{stamp:012x}{hashlib.sha256(f'{self.key} {place}'.encode()).hexdigest()[:20]}"


class OldLists:
    """The Redis of the old installation. Raises Unreachable, or ConfigError for an address or login that is wrong."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        import redis

        try:
            self._redis: Any = redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)
        except ValueError:  # its text may hold a part of the password
            raise ConfigError(
                "The old REDIS_URL is not the address of a Redis server.",
                "It looks like redis://:PASSWORD@localhost:6379/0, special characters percent-encoded.",
            ) from None
        given = self._redis.connection_pool.connection_kwargs
        self.db = int(given.get("db") or 0)
        self.place = f"Redis at {given.get('host', 'localhost')}:{given.get('port', 6379)}, database {self.db}"
        self._clock = clock

    def workers(self) -> list[str]:
        """The addresses of those who may take from lists as the old worker does; Carex itself uses another command."""
        import redis

        with self._explained():
            try:
                clients: list[dict[str, str]] = list(self._redis.client_list())
            except redis.ResponseError:
                return ["nobody knows: CLIENT LIST is refused"]
        mine = [each for each in clients if each.get("db") == str(self.db)]
        return [each.get("addr", "?") for each in mine if each.get("cmd", "").lower() == "brpop"]

    def look(self, name: str) -> list[bytes]:
        """What waits in a list, and in what an interrupted run left of it; nothing is changed."""
        with self._explained():
            found = [item for key in self._moving(name) for item in self._read(key)]
            return [*found, *self._read(name)]

    def take(self, name: str) -> list[Taken]:
        """Rename the list, and return it with those that an interrupted run left behind, the oldest first."""
        import redis

        with self._explained():
            self._read_type(name)
            if self._redis.exists(name):
                with suppress(redis.ResponseError):  # somebody has just emptied it
                    self._redis.renamenx(name, f"{name}{MOVING}{int(self._clock() * 1000)}")
            return [Taken(name, key, self._read(key)) for key in self._moving(name)]

    def file(self, taken: Taken, unreadable: Sequence[int], unknown: Sequence[int]) -> None:
        """Put the items where they belong, all at once: `unreadable` and `unknown` are the places of such items."""
        apart = {*unreadable, *unknown}
        moved = [item for place, item in enumerate(taken.items) if place not in apart]
        with self._explained(), self._redis.pipeline(transaction=True) as steps:
            for page in _pages(moved):
                steps.rpush(f"{taken.name}{MOVED}", *page)
            for page in _pages([taken.items[place] for place in unreadable]):
                steps.rpush(f"{taken.name}{UNREADABLE}", *page)
            for page in _pages([taken.items[place] for place in reversed(unknown)]):
                steps.lpush(taken.name, *page)
            steps.delete(taken.key)
            steps.execute()

    def save(self) -> None:
        """Have a server without an append-only file write a snapshot: a crash would bring the old lists back."""
        import redis

        with suppress(redis.RedisError):
            if self._redis.info("persistence").get("aof_enabled") == 0:
                self._redis.bgsave()

    def close(self) -> None:
        self._redis.close()

    def _moving(self, name: str) -> list[str]:
        """The lists that are on their way, the oldest first."""
        pattern = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name.replace("\\", "\\\\"))
        keys = [key.decode() for key in self._redis.scan_iter(match=f"{pattern}{MOVING}*", count=PAGE)]
        return sorted((key for key in keys if key.rpartition(":")[2].isdigit()), key=lambda key: (len(key), key))

    def _read(self, key: str) -> list[bytes]:
        self._read_type(key)
        return list(self._redis.lrange(key, 0, -1))

    def _read_type(self, key: str) -> None:
        kind = self._redis.type(key).decode()
        if kind not in ("list", "none"):
            raise UsageError(
                f"{key} in {self.place} is no list but a {kind}.",
                "TASKS and TASKS_ERROR in the old .env name the lists; is this the right database?",
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import redis

        from carex.queue.redis_server import explain

        try:
            yield
        except (redis.RedisError, OSError) as error:
            raise explain(error, self.place) from None


def _pages(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), PAGE):
        yield items[start : start + PAGE]
