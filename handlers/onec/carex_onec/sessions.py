"""The sessions that Carex has open in 1C: never more than allowed, each with one request at a time.

A request without a session costs 1C one of its own, opened and closed, hence hundreds of milliseconds; and a licence
meanwhile. A session kept costs a licence all the time, so it is given back when there is no work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

PATIENCE = 30.0


class Busy(Exception):
    """No place got free."""


@dataclass(eq=False)
class Session:
    """A place for one request at a time; with a cookie, 1C has a session open for it."""

    cookie: str | None = None
    doubted_until: float = 0.0
    """Till when 1C may be at a request here whose answer did not come, by the client's clock; 0: it is not."""
    _timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def forget(self) -> None:
        """The session is over."""
        self.cookie, self.doubted_until = None, 0.0

    def keep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def expire_in(self, seconds: float, act: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, act)


class Sessions:
    """`limit` places. `finish(session)` tells 1C to end one; the cookie goes if it is over. It must not raise."""

    def __init__(
        self, limit: int, idle: float, finish: Callable[[Session], Awaitable[object]], patience: float = PATIENCE
    ) -> None:
        self._places = anyio.Semaphore(limit)
        self._idle = idle
        self._patience = patience
        self._finish = finish
        # The last one used comes first, so that the others may end.
        self._free = [Session() for _ in range(limit)]
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Session]:
        """A place for one request. Raises Busy if none gets free in time."""
        try:
            with anyio.fail_after(self._patience):
                await self._places.acquire()
        except TimeoutError:
            raise Busy from None
        session = self._free.pop()
        session.keep()
        try:
            yield session
        finally:
            self._put_back(session)
            self._places.release()

    async def close(self) -> None:
        """End those that are open."""
        for session in [*self._free]:
            session.keep()
            self._end_soon(session)
        await asyncio.gather(*self._ending)

    def _put_back(self, session: Session) -> None:
        if session.cookie is not None:
            self._keep_for_a_while(session)
        if session.cookie is not None and not session.doubted_until:
            self._free.append(session)
        else:
            self._free.insert(0, session)

    def _keep_for_a_while(self, session: Session) -> None:
        session.expire_in(self._idle, lambda: self._end_soon(session))

    def _end_soon(self, session: Session) -> None:
        if session.cookie is None or session not in self._free:
            return
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:  # somebody waits for it, or for another one
            self._keep_for_a_while(session)
            return
        self._free.remove(session)
        task = asyncio.create_task(self._end(session))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, session: Session) -> None:
        try:
            await self._finish(session)
        finally:
            self._free.insert(0, session)
            self._places.release()
