"""Runs handlers in an event loop of their own, in a thread of their own.

A handler that blocks its loop must not stop what keeps leases alive and talks to the outside: that lives in the
worker's loop, and the two meet only here, in batches.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio
from loguru import logger

from carex.context import Context
from carex.people import People
from carex.plugin import Handler, Plugin
from carex.queue import Delivery
from carex.registry import Registry
from carex.run import run
from carex.settings import Settings
from carex.task import Outcome, Wait

PULSE = 0.25


@dataclass(frozen=True)
class Result:
    """How an attempt ended, and how many seconds it took."""

    delivery: Delivery
    outcome: Outcome
    seconds: float


class Executor:
    """`submit` deliveries; their results come through `take` after `ready` was called in the caller's loop."""

    def __init__(
        self, settings: Settings, registry: Registry, people: People, threads: int, ready: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._people = people
        self._thread_count = threads
        self._results: deque[Result] = deque()
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._surroundings: dict[str, tuple[Any, Any]] = {}  # by plugin: its settings and its client
        self._http: Any = None
        self._caller = asyncio.get_running_loop()
        self._ready = ready
        self._rung = False
        self._pulse = time.monotonic()
        self._abandoned = False
        self._ending = threading.Lock()  # an attempt ends, or is given up: never both, never neither
        self._opened = threading.Event()
        self.refused: dict[str, str] = {}
        """Plugins that could not be set up, and why."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="handlers", daemon=True)

    async def start(self) -> None:
        """Open the plugins' clients; those that cannot be opened are in `refused`."""
        self._thread.start()
        await self._caller.run_in_executor(None, self._opened.wait)

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        self._loop.call_soon_threadsafe(self._begin, deliveries)

    def take(self) -> list[Result]:
        """The results since the last call."""
        self._rung = False
        return [self._results.popleft() for _ in range(len(self._results))]

    def counters(self) -> dict[str, float]:
        """What the plugins' clients counted since the last call."""
        found: dict[str, float] = {}
        for _, client in self._surroundings.values():
            drain = getattr(client, "drain_counters", None)
            for name, value in drain().items() if drain else ():
                found[name] = found.get(name, 0) + value
        return found

    def blocked(self) -> tuple[float, Delivery | None, str]:
        """For how many seconds a handler has held the loop, which one, and where in its code it stands."""
        seconds = time.monotonic() - self._pulse - PULSE
        if seconds < PULSE:
            return 0.0, None, ""
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._thread.ident or 0)
        return (
            seconds,
            self._running.get(task) if task else None,
            "".join(traceback.format_stack(frame, 3)) if frame else "",
        )

    def abandon(self) -> list[Delivery]:
        """Give up on a loop that does not come back; return what it was running. Its thread ends when it can."""
        with self._ending:
            self._abandoned = True
            left = list(self._running.values())
        self._loop.call_soon_threadsafe(self._stop.set)
        return left

    async def stop(self) -> None:
        """Cancel what still runs (it comes back as a `Wait`), close the clients and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        await self._caller.run_in_executor(None, self._thread.join, 5.0)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._threads = anyio.CapacityLimiter(self._thread_count)
        async with AsyncExitStack() as stack:
            for each in self._registry.loaded:
                await self._open(each.plugin, stack)
            self._opened.set()
            self._beat()
            await self._stop.wait()
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)
            if self._http is not None:
                await self._http.aclose()

    async def _open(self, plugin: Plugin, stack: AsyncExitStack) -> None:
        try:
            settings = self._settings.plugin(plugin.name, plugin.settings) if plugin.settings else None
            client = await stack.enter_async_context(plugin.client(settings)) if plugin.client else None
        except Exception as error:  # noqa: BLE001 - a stranger's code; the other plugins run on
            self.refused[plugin.name] = str(error)
        else:
            self._surroundings[plugin.name] = settings, client

    def _beat(self) -> None:
        self._pulse = time.monotonic()
        self._loop.call_later(PULSE, self._beat)

    def _begin(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            handler = self._registry.handlers[delivery.task.type]
            task = self._loop.create_task(self._attempt(handler, delivery))
            self._running[task] = delivery

    async def _attempt(self, handler: Handler, delivery: Delivery) -> None:
        settings, client = self._surroundings[handler.plugin.name]
        ctx = Context(delivery.task, settings=settings, client=client, people=self._people, http=self._shared_http)
        began = time.perf_counter()
        try:
            outcome: Outcome = await run(handler, delivery.task, ctx, self._threads)
        except asyncio.CancelledError:
            outcome = Wait("the worker was stopped", delay=0)
        with self._ending:
            del self._running[asyncio.current_task()]  # type: ignore[arg-type]
            if self._abandoned:
                return
            self._results.append(Result(delivery, outcome, time.perf_counter() - began))
        if not self._rung:
            self._rung = True
            self._caller.call_soon_threadsafe(self._ready)

    def _shared_http(self) -> Any:
        if self._http is None:
            import httpx
            from httpx_aiohttp import AiohttpTransport

            self._http = httpx.AsyncClient(transport=AiohttpTransport(), timeout=60.0)
        return self._http


def say_refused(executor: Executor) -> None:
    """Log the plugins that could not be set up: their tasks wait."""
    for name, reason in executor.refused.items():
        logger.error("Plugin {} cannot be set up, its tasks wait: {}", name, reason)
