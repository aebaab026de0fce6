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
from functools import partial
from typing import Any, NamedTuple

import anyio
from loguru import logger

from carex import log
from carex.context import Context
from carex.limiter_stores import share_of
from carex.people import People
from carex.plugin import Handler, Plugin
from carex.queue import Delivery
from carex.registry import Registry
from carex.run import run
from carex.settings import Settings
from carex.task import BpmnError, Done, Outcome, Retry, Wait

PULSE = 0.25
LONGEST_OPENING = 30.0
"""Seconds that a plugin's client may take to open."""


class Result(NamedTuple):
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
        self._running: set[asyncio.Task[Any] | None] = set()
        self._given: dict[int, Delivery] = {}  # submitted and not ended, by the object: also what no loop has seen yet
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
        self._given.update((id(delivery), delivery) for delivery in deliveries)
        self._loop.call_soon_threadsafe(self._begin, deliveries)

    def take(self) -> list[Result]:
        """The results since the last call."""
        self._rung = False
        return [self._results.popleft() for _ in range(len(self._results))]

    def counters(self) -> dict[str, float]:
        """What the plugins' clients counted since the last call."""
        found: dict[str, float] = {}
        for _, client in self._surroundings.values():
            if hasattr(type(client), "drain_counters"):
                for name, value in client.drain_counters().items():
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
            getattr(task, "delivery", None),
            "".join(traceback.format_stack(frame, 3)) if frame else "",
        )

    def abandon(self) -> list[Delivery]:
        """Give up on a loop that does not come back; return what it was running. Its thread ends when it can."""
        with self._ending:
            self._abandoned = True
            left = list(self._given.values())
        self._loop.call_soon_threadsafe(self._stop.set)
        return left

    async def stop(self) -> None:
        """Cancel what still runs (it comes back as a `Wait`), close the clients and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        await self._caller.run_in_executor(None, self._thread.join, 5.0)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._loop.set_task_factory(_owned)
        self._threads = anyio.CapacityLimiter(self._thread_count)
        async with AsyncExitStack() as stack:
            self._share = share_of(self._settings.queue.url, self._settings.home / "data")
            stack.push_async_callback(self._share.close)
            try:
                for each in self._registry.loaded:
                    await self._open(each.plugin, stack)
            finally:
                self._opened.set()
            self._beat()
            await self._stop.wait()
            left = [task for task in self._running if task]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
            if self._http is not None:
                await self._http.aclose()

    async def _open(self, plugin: Plugin, stack: AsyncExitStack) -> None:
        try:
            settings = self._settings.plugin(plugin.name, plugin.settings) if plugin.settings else None
            client = None
            if plugin.client:
                with anyio.fail_after(LONGEST_OPENING):
                    client = await stack.enter_async_context(plugin.open_client(settings, self._share))
        except BaseException as error:  # noqa: BLE001 - a stranger's code; the other plugins run on
            self.refused[plugin.name] = str(error) or type(error).__name__
        else:
            self._surroundings[plugin.name] = settings, client
            self._people.sources.update({name: partial(ask, client) for name, ask in plugin.presences.items()})

    def _beat(self) -> None:
        self._pulse = time.monotonic()
        self._loop.call_later(PULSE, self._beat)

    def _begin(self, deliveries: Sequence[Delivery]) -> None:
        if self._abandoned:
            return
        for delivery in deliveries:
            handler = self._registry.handlers[delivery.task.type]
            task = _Owned(self._attempt(handler, delivery), loop=self._loop)
            task.delivery = delivery
            self._running.add(task)

    async def _attempt(self, handler: Handler, delivery: Delivery) -> None:
        began = time.perf_counter()
        outcome: Outcome
        try:
            settings, client = self._surroundings[handler.plugin.name]
            ctx = Context(delivery.task, settings=settings, client=client, people=self._people, http=self._shared_http)
            outcome = _without_secrets(await run(handler, delivery.task, ctx, self._threads))
        except asyncio.CancelledError:
            stopped = self._stop.is_set()
            outcome = Wait("the worker was stopped", delay=0) if stopped else Retry("its handler was cancelled")
        except BaseException as error:  # noqa: BLE001 - an attempt that never ends would hold its slot for good
            outcome = Retry(f"{type(error).__name__} before the handler could run")
        with self._ending:
            self._running.discard(asyncio.current_task())
            if self._abandoned:
                return
            del self._given[id(delivery)]
            self._results.append(Result(delivery, outcome, time.perf_counter() - began))
        if not self._rung:
            self._rung = True
            self._loop.call_soon(self._ring)  # after all that end in this turn of the loop: they are settled together

    def _ring(self) -> None:
        self._caller.call_soon_threadsafe(self._ready)

    def _shared_http(self) -> Any:
        if self._http is None:
            import httpx
            from httpx_aiohttp import AiohttpTransport

            self._http = httpx.AsyncClient(transport=AiohttpTransport(), timeout=60.0)
        return self._http


def _without_secrets(outcome: Outcome) -> Outcome:
    """What is stored, shown and sent as an answer: whoever was called may have echoed what it was sent."""
    if isinstance(outcome, Done):
        return outcome if outcome.result is None else Done(log.redacted(outcome.result))
    outcome.reason = log.redact(outcome.reason)
    if isinstance(outcome, BpmnError):
        outcome.variables = log.redacted(outcome.variables)
    return outcome


class _Owned(asyncio.Task[Any]):
    """An asyncio task that knows for which delivery it runs."""

    delivery: Delivery | None = None


def _owned(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
    """What a handler starts is the handler's: so is the blame if it blocks."""
    task = _Owned(coroutine, loop=loop, **more)
    task.delivery = getattr(asyncio.current_task(loop), "delivery", None)
    return task


def say_refused(executor: Executor) -> None:
    """Log the plugins that could not be set up: their tasks wait."""
    for name, reason in executor.refused.items():
        logger.error("Plugin {} cannot be set up, its tasks wait: {}", name, reason)
