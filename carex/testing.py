"""For the tests of plugins: one attempt at a task with no queue, no worker and no sleeping, and a clock to set.

    outcome = asyncio.run(call(plugin.handlers["greet"], {"name": "Anna"}))
    assert outcome == Done({"text": "Hello, Anna!"})

What a handler talks to is given as `client` or `transport`, or as settings that lead to a stand-in, such as the portal
in `carex_bitrix24.simulator`.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carex.context import Context
from carex.limiter import Share
from carex.people import Directory, People, open_people
from carex.plugin import Handler
from carex.run import run
from carex.task import Outcome, Task, new_id

if TYPE_CHECKING:
    import httpx

__all__ = ["Clock", "Outcome", "call", "employees"]


@dataclass
class Clock:
    """Time that moves only when told, in Unix seconds; for whatever takes a `clock`."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


async def call(
    handler: Handler,
    payload: Any = None,
    *,
    settings: Any = None,
    client: Any = None,
    people: Any = None,
    transport: httpx.AsyncBaseTransport | None = None,
    share: Share | None = None,
    id: str | None = None,
    attempt: int = 1,
) -> Outcome:
    """Make one attempt, as a worker would, and return how it ended. What the handler raises is in the outcome.

    `settings` is a mapping like the table `[plugins.NAME]`, checked like it, or an instance of the plugin's model.
    Without `client` the plugin's own is opened with them, and closed afterwards. `ctx.http` sends through `transport`;
    without one it refuses. `ctx.people` is `people`, see `employees`. The same `id` twice is the same task.
    """
    if not isinstance(handler, Handler):
        raise TypeError(f'call(plugin.handlers["TYPE"], …) takes a handler of a plugin, not {handler!r:.60}')
    given = json.loads(json.dumps(payload if payload is not None else {}, allow_nan=False))
    task = Task(handler.type, given, source="test", id=id or new_id(), attempt=attempt)
    async with AsyncExitStack() as stack:
        checked = _checked(handler.plugin.settings, settings)
        if client is None:
            client = await stack.enter_async_context(handler.plugin.open_client(checked, share or Share()))
        http = await stack.enter_async_context(_through(transport)) if transport is not None else None
        ctx = Context(task, settings=checked, client=client, people=people, http=(lambda: http) if http else None)
        return await run(handler, task, ctx)


@asynccontextmanager
async def employees(
    folder: Path, *names: str, clock: Callable[[], float] = time.time, seed: int = 0
) -> AsyncIterator[People]:
    """Employees with the ids 1, 2, 3 … and a ledger of decisions, kept in this folder: `people` for `call`.

    Who is drawn at random depends on `seed` only.
    """
    directory = Directory(folder / "people.db")
    for number, name in enumerate(names, start=1):
        directory.add(number, name)
    directory.close()
    people = open_people(folder / "people.db", clock=clock, rng=random.Random(seed))  # noqa: S311 - to be repeatable
    try:
        yield people
    finally:
        await people.close()


@asynccontextmanager
async def served(app: Any, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve an ASGI application in this loop, as a stand-in does, and yield its URL. Port 0 means any free one."""
    import uvicorn

    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server((host, port))
    # Not server.serve(): it would take over the signals of the process, and this loop is somebody else's.
    await server.startup(sockets=[listener])
    loop = asyncio.create_task(server.main_loop())
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await loop
        await server.shutdown(sockets=[listener])


def _checked(model: type[Any] | None, given: Any) -> Any:
    if model is None or isinstance(given, model):
        return given
    return model.model_validate({} if given is None else given)


def _through(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(transport=transport)
