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
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple

import anyio
from loguru import logger

from carex.context import Context
from carex.limiter_stores import share_of
from carex.masking import redact, redacted
from carex.once import send_once
from carex.people import People
from carex.plugin import Handler, Plugin
from carex.queue import Delivery
from carex.registry import Registry
from carex.run import run
from carex.settings import Settings
from carex.task import BpmnError, Done, Outcome, Retry, Wait

PULSE = 0.1
LONGEST_OPENING = 30.0
"""Seconds that a plugin's client may take to open."""
SHORT_OPENING = 5.0
"""Seconds after which a worker that stays begins without the clients that are still opening."""

NOT_OPEN = 5.0
"""Seconds until a task is tried again whose plugin is not set up in the loop that it came to."""


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
        self._running: dict[int, asyncio.Task[Any]] = {}  # by the delivery, the object
        self._given: dict[int, Delivery] = {}  # submitted and not ended, likewise
        self._fresh: dict[int, Delivery] = {}  # those of them whose handlers have not begun, likewise
        self._surroundings: dict[str, tuple[Any, Any]] = {}  # by plugin: its settings and its client
        self._http: Any = None
        self._caller = asyncio.get_running_loop()
        self._ready = ready
        self._rung = False
        self._pulse = time.monotonic()
        self._abandoned = False
        self._ending = threading.Lock()  # an attempt ends, or is given up: never both, never neither
        self._living = threading.Event()
        self._opened = threading.Event()
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._begun = False
        self.refused = {each.plugin.name: "its client is not open yet" for each in registry.loaded}
        """Plugins that are not set up, and why. One whose client opens late is taken out then."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="handlers", daemon=True)

    async def start(self, patience: float = LONGEST_OPENING) -> None:
        """Open the plugins' clients, and wait so many seconds for them; those that are not open are in `refused`."""
        self._thread.start()
        await self._caller.run_in_executor(None, self._living.wait)
        await self._caller.run_in_executor(None, self._opened.wait, patience)
        self._begun = True

    @property
    def load(self) -> int:
        """How many deliveries have not ended."""
        return len(self._given)

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        fresh = {id(delivery): delivery for delivery in deliveries}
        self._given.update(fresh)
        self._fresh.update(fresh)
        self._loop.call_soon_threadsafe(self._begin, deliveries)

    def take(self) -> list[Result]:
        """The results since the last call."""
        self._rung = False
        return [self._results.popleft() for _ in range(len(self._results))]

    def counters(self) -> dict[str, float]:
        """What the plugins' clients counted since the last call."""
        found: dict[str, float] = {}
        for _, client in list(self._surroundings.values()):
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

    def withdraw(self) -> list[Delivery]:
        """Take back those whose handlers have not begun."""
        fresh = list(self._fresh)
        withdrawn = [each for key in fresh if (each := self._fresh.pop(key, None))]  # or its attempt was faster
        for delivery in withdrawn:
            del self._given[id(delivery)]
        return withdrawn

    def abandon(self) -> list[Delivery]:
        """Give up on a loop that does not come back; return what it was running. Its thread ends when it can."""
        with self._ending:
            self._abandoned = True
            left = list(self._given.values())
        self._loop.call_soon_threadsafe(self._stop.set)
        return left

    async def stop(self) -> None:
        """Cancel what still runs (it comes back as a `Wait`), close the clients and end the thread."""
        self._results += [Result(delivery, stopped(), 0.0) for delivery in self.withdraw()]
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
            closing = asyncio.Event()
            for each in self._registry.loaded:
                self._opening[each.plugin.name] = asyncio.create_task(self._keep(each.plugin, closing))
            homes = list(self._opening.values())
            if not homes:
                self._opened.set()
            self._loop.call_later(LONGEST_OPENING, self._give_up)
            self._living.set()
            self._beat()
            await self._stop.wait()
            left = list(self._running.values())
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
            if self._http is not None:
                await self._http.aclose()
            closing.set()
            for home in self._opening.values():
                home.cancel()
            if homes:
                await asyncio.wait(homes)

    async def _keep(self, plugin: Plugin, closing: asyncio.Event) -> None:
        """Enter a plugin's client and leave it: in one task, as clients that have tasks of their own demand."""
        try:
            for handler in plugin.handlers.values():
                handler.prepare()
            settings = self._settings.plugin(plugin.name, plugin.settings) if plugin.settings else None
            async with plugin.open_client(settings, self._share) as client:
                self._surroundings[plugin.name] = settings, client
                self._people.sources.update({name: partial(ask, client) for name, ask in plugin.presences.items()})
                self._settled(plugin.name)
                await closing.wait()
        except BaseException as error:  # noqa: BLE001 - a stranger's code; the other plugins run on
            if plugin.name in self._opening:
                self._settled(plugin.name, str(error) or type(error).__name__)
            elif plugin.name not in self.refused:
                logger.opt(exception=error).error("Plugin {}: its client failed, or could not be closed", plugin.name)

    def _give_up(self) -> None:
        for name, home in list(self._opening.items()):
            self._settled(name, f"its client did not open within {LONGEST_OPENING:g} s")
            home.cancel()

    def _settled(self, name: str, reason: str = "") -> None:
        """A plugin is set up, or there is a reason why it is not; what comes late is said here."""
        self._opening.pop(name, None)
        if reason:
            self.refused[name] = reason
        else:
            self.refused.pop(name, None)
        if not self._opening:
            self._opened.set()
        if self._begun and not self._stop.is_set():
            _say(name, reason)

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
            self._running[id(delivery)] = task

    async def _attempt(self, handler: Handler, delivery: Delivery) -> None:
        if self._fresh.pop(id(delivery), None) is None:
            self._running.pop(id(delivery), None)
            return  # it was withdrawn
        began = time.perf_counter()
        outcome: Outcome
        try:
            outcome = await self._outcome(handler, delivery)
        except asyncio.CancelledError:
            outcome = stopped() if self._stop.is_set() else Retry("its handler was cancelled")
        except BaseException as error:  # noqa: BLE001 - an attempt that never ends would hold its slot for good
            outcome = Retry(f"{type(error).__name__} before the handler could run")
        with self._ending:
            self._running.pop(id(delivery), None)
            if self._abandoned:
                return
            self._results.append(Result(delivery, outcome, time.perf_counter() - began))
            del self._given[id(delivery)]  # after that, so that none is overlooked when nothing is left to end
        if not self._rung:
            self._rung = True
            self._loop.call_soon(self._ring)  # after all that end in this turn of the loop: they are settled together

    async def _outcome(self, handler: Handler, delivery: Delivery) -> Outcome:
        name = handler.plugin.name
        if name not in self._surroundings:  # it was meant for a loop in which its client is open
            return Wait(self.refused.get(name, "its client is closed"), NOT_OPEN)
        settings, client = self._surroundings[name]
        ctx = Context(delivery.task, settings=settings, client=client, people=self._people, http=self._shared_http)
        return _without_secrets(await run(handler, delivery.task, ctx, self._threads))

    def _ring(self) -> None:
        self._caller.call_soon_threadsafe(self._ready)

    def _shared_http(self) -> Any:
        if self._http is None:
            import httpx
            from httpx_aiohttp import AiohttpTransport

            self._http = httpx.AsyncClient(transport=AiohttpTransport(client=_session), timeout=60.0)
        return self._http


def stopped() -> Outcome:
    """How a task ends that is given back: it costs it nothing, and others may have it at once."""
    return Wait("the worker was stopped", delay=0)


def _session() -> Any:
    """Without a jar: cookies of one task's requests are not for another's."""
    import aiohttp
    import httpx

    connector = aiohttp.TCPConnector(ssl=httpx.create_ssl_context())
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=[send_once])


def _without_secrets(outcome: Outcome) -> Outcome:
    """What is stored, shown and sent as an answer: whoever was called may have echoed what it was sent."""
    if isinstance(outcome, Done):
        return outcome if outcome.result is None else Done(redacted(outcome.result))
    outcome.reason = redact(outcome.reason)
    if isinstance(outcome, BpmnError):
        outcome.variables = redacted(outcome.variables)
    return outcome


class _Owned(asyncio.Task[Any]):
    """An asyncio task that knows for which delivery it runs."""

    delivery: Delivery | None = None


def _owned(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
    """What a handler starts is the handler's: so is the blame if it blocks."""
    task = _Owned(coroutine, loop=loop, **more)
    task.delivery = getattr(asyncio.current_task(loop), "delivery", None)
    return task


def say_refused(refused: Mapping[str, str]) -> None:
    """Log the plugins that are not set up: their tasks wait."""
    for name, reason in dict(refused).items():
        _say(name, reason)


def _say(name: str, reason: str) -> None:
    if reason:
        logger.error("Plugin {} cannot be set up, its tasks wait: {}", name, reason)
    else:
        logger.info("Plugin {} is set up now, its tasks run.", name)
