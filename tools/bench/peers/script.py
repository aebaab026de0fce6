"""The command line of every file here: `python -m peers.script NAME …`

worker CONCURRENCY        run a worker until SIGTERM
put COUNT NAP one|many    put tasks that nap so many seconds; print {"put": …, "seconds": …}
pace COUNT RATE           put so many tasks a second
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0")
BATCH = 1000
TOGETHER = 50
"""How many single puts are under way at once, for libraries that have no other way to put many."""
Item = tuple[float, float]


@dataclass(frozen=True)
class Producer:
    """How a library puts a task: `one(sent, nap)`, and `many(items)` if it has a quicker way for many."""

    one: Callable[[float, float], Any]
    many: Callable[[Sequence[Item]], Any] | None = None


def main() -> None:
    name, verb, *rest = sys.argv[1:]
    peer = import_module(f"peers.{name}")
    if verb == "worker":
        peer.worker(int(rest[0]))
    elif verb == "put":
        asyncio.run(_put(peer.producer, int(rest[0]), float(rest[1]), rest[2] == "many"))
    else:
        asyncio.run(_pace(peer.producer, int(rest[0]), float(rest[1])))


def become(*command: str) -> NoReturn:
    """Run a library's own worker command, in this process."""
    os.execv(sys.executable, [sys.executable, "-m", *command])


def together(one: Callable[[float, float], Awaitable[Any]]) -> Callable[[Sequence[Item]], Awaitable[None]]:
    """`many` for a library that can only put one, but lets several do so at once."""

    async def many(items: Sequence[Item]) -> None:
        for start in range(0, len(items), TOGETHER):
            await asyncio.gather(*(one(*item) for item in items[start : start + TOGETHER]))

    return many


async def _put(
    producer: Callable[[], AbstractAsyncContextManager[Producer]], count: int, nap: float, many: bool
) -> None:
    async with producer() as put:
        await _done(put.one(time.monotonic(), nap))  # opens the connection
        count -= 1
        started = time.monotonic()
        if many and put.many:
            for size in _batches(count):
                await _done(put.many([(time.monotonic(), nap)] * size))
        else:
            for _ in range(count):
                await _done(put.one(time.monotonic(), nap))
        seconds = time.monotonic() - started
    print(json.dumps({"put": count, "seconds": seconds, "many": many and put.many is not None}))


def _batches(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, BATCH)
        count -= BATCH


async def _pace(producer: Callable[[], AbstractAsyncContextManager[Producer]], count: int, rate: float) -> None:
    async with producer() as put:
        first = time.monotonic()
        for number in range(count):
            await asyncio.sleep(first + number / rate - time.monotonic())
            await _done(put.one(time.monotonic(), 0.0))


async def _done(result: Any) -> None:
    if inspect.isawaitable(result):
        await result


if __name__ == "__main__":
    main()
