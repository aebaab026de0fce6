"""Where the buckets of `carex.limiter` are kept: one SQLite file for one machine, Redis where the queue is Redis."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from carex.database import Connection, cannot_answer, connect
from carex.database import read as look_into
from carex.errors import Unreachable
from carex.limiter import Bucket, Share, Store, read, written

if TYPE_CHECKING:
    from carex.queue.redis_line import Line

T = TypeVar("T")
PLACE = "carex:{limits}:"
"""What the keys of buckets in Redis begin with; and the key of the set of their names."""
SCHEMA = "CREATE TABLE buckets (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;\n"
# Swaps a bucket that is still as it was read; and tells the time, which is the same for all machines.
SCRIPT = """
local found = redis.call('GET', KEYS[1] .. ARGV[1]) or ''
if ARGV[2] == 'swap' and found == ARGV[3] then
    redis.call('SET', KEYS[1] .. ARGV[1], ARGV[4], 'EX', 86400)
    redis.call('SADD', KEYS[1], ARGV[1])
    return {'ok', '', ''}
end
local time = redis.call('TIME')
return {'', found, time[1] .. '.' .. string.format('%06d', time[2])}
"""


def share_of(queue_url: str, folder: Path) -> Share:
    """What the processes share that use this queue; on one machine the file is in `folder`. Opened when first used."""

    def open_store() -> Store:
        if queue_url.startswith(("redis://", "rediss://")):
            return RedisStore(queue_url)
        return SqliteStore(folder / "limits.db")

    return Share(open_store)


def look(queue_url: str, folder: Path) -> dict[str, Bucket]:
    """Every bucket by its name, without changing any. Raises Unreachable."""
    if queue_url.startswith(("redis://", "rediss://")):
        return {name: read(text) for name, text in _in_redis(queue_url).items()}
    path = folder / "limits.db"
    if not path.is_file():
        return {}
    rows = look_into(path, lambda connection: connection.execute("SELECT name, state FROM buckets").fetchall())
    return {row["name"]: read(row["state"]) for row in rows}


def _in_redis(url: str) -> dict[str, str]:
    from redis.exceptions import RedisError

    from carex.queue.redis_line import ask, connect_later, place_of
    from carex.queue.redis_server import explain

    connection = connect_later(url)
    try:
        found = {name: ask(connection, "GET", PLACE + name) for name in ask(connection, "SMEMBERS", PLACE)}
    except (RedisError, OSError) as error:
        raise explain(error, place_of(connection)) from None
    finally:
        connection.disconnect()
    return {name: text for name, text in found.items() if text}


class SqliteStore:
    """Buckets in one file. It is not synced to the disk: after a power failure the buckets are empty anyway."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, f"writer of {path.name}")

    async def change(self, name: str, act: Callable[[Bucket, float], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._change, name, act)

    async def close(self) -> None:
        def hang_up() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        await asyncio.get_running_loop().run_in_executor(self._thread, hang_up)
        self._thread.shutdown()

    def _change(self, name: str, act: Callable[[Bucket, float], T]) -> T:
        import time

        if self._connection is None:
            self._connection = connect(self._path, [SCHEMA])
            self._connection.execute("PRAGMA synchronous=OFF")
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                row = connection.execute("SELECT state FROM buckets WHERE name = ?", (name,)).fetchone()
                bucket = read(row["state"] if row else None)
                result = act(bucket, time.time())
                connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", (name, written(bucket)))
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except connection.Error as error:
            raise cannot_answer(self._path, error) from None
        return result


class RedisStore:
    """Buckets that many machines share. Whoever read a bucket that another has changed since reads it again."""

    def __init__(self, url: str) -> None:
        from carex.queue.redis_line import Line

        self._line: Line = Line(url, hashlib.sha1(SCRIPT.encode()).hexdigest(), _greet)  # noqa: S324 - Redis's name for it

    async def change(self, name: str, act: Callable[[Bucket, float], T]) -> T:
        while True:
            _, before, now = await self._call(name, "read")
            bucket = read(before)
            result = act(bucket, float(now))
            swapped, _, _ = await self._call(name, "swap", before, written(bucket))
            if swapped:
                return result

    async def close(self) -> None:
        await self._line.close()

    async def _call(self, name: str, *arguments: str) -> tuple[str, str, str]:
        answer = await self._line.call(PLACE, name, *arguments)
        if not isinstance(answer, list) or len(answer) != 3:
            raise Unreachable("Redis answers what nobody asked.")
        return answer[0], answer[1], answer[2]


def _greet(connection: Any) -> None:
    from carex.queue.redis_line import ask

    ask(connection, "SCRIPT", "LOAD", SCRIPT)
