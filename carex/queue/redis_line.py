"""The connections of one process to Redis: a line for calls, and a bell for those who wait.

A round trip is what Redis costs. Calls that arrive while one is under way share the next, as callers of
`carex.database` share a commit. Each connection lives in a thread of its own, so that any event loop may call, and
blocks nobody while it waits or connects.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from redis.connection import Connection, parse_url
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from carex.errors import ConfigError, Unreachable
from carex.queue.redis_server import explain

Wire: TypeAlias = Any
"""A connection of redis-py, which tells its types only in part."""
ANSWER = 5.0
"""Seconds in which Redis has to answer."""
CONNECT = 2.0
"""Seconds in which a connection has to be there."""


def connect_later(url: str, answer: float = ANSWER) -> Wire:
    """A connection that is made when it is first used. Raises ConfigError for what is no address."""
    try:
        options = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:  # its text may hold a part of the password
        raise ConfigError(
            "queue.url is not the address of a Redis server.",
            "Use redis://[USER:PASSWORD@]HOST:PORT/DB, special characters in the password percent-encoded.",
        ) from None
    kind = options.pop("connection_class", Connection)
    settings = {"socket_timeout": answer, "socket_connect_timeout": CONNECT, "socket_read_size": 1 << 18}
    return kind(**{**settings, **options, "protocol": 2, "decode_responses": True})


def place_of(connection: Wire) -> str:
    """Where a connection leads, without credentials."""
    return f"Redis at {connection.host}:{connection.port}"


def ask(connection: Wire, *command: str) -> Any:
    connection.send_command(*command, check_health=False)
    return connection.read_response()


class Line:
    """Calls a script. `greet` is shown each new connection before the first call; what it raises, every caller gets.

    It greets anew when a script says `EMPTIED`, which means that the store is not the one that was greeted.
    """

    def __init__(self, url: str, sha: str, greet: Callable[[Wire], None]) -> None:
        self._connection = connect_later(url)
        self._place = place_of(self._connection)
        self._sha = sha
        self._greet = greet
        self._greeted = False
        self._waiting: deque[_Call] = deque()
        self._wake = threading.Semaphore(0)
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="calls to Redis", daemon=True)
        self._thread.start()

    async def call(self, prefix: str, *arguments: Any) -> Any:
        """The script's answer. Raises Unreachable if there is none: whether it ran is then not known."""
        packed = b"".join(self._connection.pack_command("EVALSHA", self._sha, 1, prefix, *arguments))
        if self._closed:
            raise Unreachable(f"The line to {self._place} is closed.")
        loop = asyncio.get_running_loop()
        call = _Call(packed, loop.create_future(), loop)
        self._waiting.append(call)
        self._wake.release()
        return await call.future

    async def close(self) -> None:
        """Finish what waits, then hang up."""
        self._closed = True
        self._wake.release()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _serve(self) -> None:
        while True:
            self._wake.acquire()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if batch:
                self._exchange(batch)
                _deliver(batch)
            elif self._closed:
                self._connection.disconnect()
                return

    def _exchange(self, batch: list[_Call]) -> None:
        """Answer every call of the batch, with a result or an error."""
        try:
            self._be_connected()
            if refused := self._round_trip(batch):
                self._greet(self._connection)
                self._round_trip(refused)
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits for the result
            self._hang_up()
            for call in batch:
                if not call.answered:
                    call.answer(error)
        for call in batch:
            if isinstance(call.result, (RedisError, OSError)):
                if isinstance(call.result, ReadOnlyError):
                    self._hang_up()  # the next connection finds the new master
                call.result = explain(call.result, self._place)

    def _round_trip(self, batch: list[_Call]) -> list[_Call]:
        """Send all, read all; return the calls that a new server or an emptied store did not understand."""
        self._connection.send_packed_command([b"".join([call.packed for call in batch])], check_health=False)
        refused = []
        for call in batch:
            try:
                call.answer(self._connection.read_response())
            except ResponseError as error:
                if isinstance(error, NoScriptError) or str(error).startswith("EMPTIED"):
                    call.result = error  # not answered yet
                    refused.append(call)
                else:
                    call.answer(error)
        return refused

    def _be_connected(self) -> None:
        """Connect if there is no connection, or one that the server has ended meanwhile."""
        if self._greeted:
            with contextlib.suppress(RedisError, OSError):
                if not self._connection.can_read(0):
                    return
            self._hang_up()
        self._connection.connect()
        self._greet(self._connection)
        self._greeted = True

    def _hang_up(self) -> None:
        self._greeted = False
        self._connection.disconnect()


class _Call:
    __slots__ = ("answered", "future", "loop", "packed", "result")

    def __init__(self, packed: bytes, future: asyncio.Future[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.packed = packed
        self.future = future
        self.loop = loop
        self.answered = False
        self.result: Any = None

    def answer(self, result: Any) -> None:
        self.answered = True
        self.result = result


def _deliver(batch: list[_Call]) -> None:
    """Hand the results over, waking each event loop once."""
    for loop in {call.loop for call in batch}:
        mine = [call for call in batch if call.loop is loop]
        with contextlib.suppress(RuntimeError):  # that loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(batch: list[_Call]) -> None:
    for call in batch:
        if call.future.done():
            continue  # the caller gave up waiting
        if isinstance(call.result, Exception):
            call.future.set_exception(call.result)
        else:
            call.future.set_result(call.result)


class Bell:
    """Wakes those who wait when something is pushed onto a list. It may ring for nothing; a broken one is rebuilt."""

    def __init__(self, url: str, key: str, block: float) -> None:
        self._connection = connect_later(url, answer=block + ANSWER)
        self._key = key
        self._block = block
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._rang = False  # while nobody waited
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    async def woken(self, timeout: float) -> None:
        """Return when it rang, or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._rang:
                self._rang = False
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="bell of Redis", daemon=True)
                self._thread.start()
        self._asked.set()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(future, timeout)

    def close(self) -> None:
        self._closed.set()
        self._asked.set()
        self._connection.disconnect()  # ends a read that is under way

    def _listen(self) -> None:
        from loguru import logger

        while not self._closed.is_set():
            self._asked.wait()
            self._asked.clear()
            try:
                while self._is_awaited() and not self._closed.is_set():
                    if ask(self._connection, "BLPOP", self._key, str(self._block)):
                        self._ring()
            except Exception as error:  # noqa: BLE001 - whoever waits looks for tasks at each end of its patience anyway
                self._connection.disconnect()
                if not self._closed.wait(self._block):
                    logger.warning(
                        "Waiting for tasks: {} The connection is made anew.",
                        explain(error, place_of(self._connection)).message,
                    )
                    self._asked.set()
        self._connection.disconnect()

    def _is_awaited(self) -> bool:
        with self._lock:
            self._waiting = [(loop, future) for loop, future in self._waiting if not future.done()]
            return bool(self._waiting)

    def _ring(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._rang = not any(not future.done() for _, future in waiting)
        for loop, future in waiting:
            with contextlib.suppress(RuntimeError):  # that loop has ended
                loop.call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
