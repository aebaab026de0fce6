"""Trying decisions out on a copy: for commands that say what would be done."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carex.cli import Root
from carex.cli.rules import rules_of

if TYPE_CHECKING:
    from carex.people import People
    from carex.registry import Registry
    from carex.settings import Settings


@dataclass(frozen=True)
class Rehearsal:
    """Employees and ledger on a copy, and the clients of the plugins by name, if the systems may be asked."""

    people: People
    clients: Mapping[str, Any]


@asynccontextmanager
async def rehearse(
    root: Root, *, ask: bool, fresh: bool = False, clock: Callable[[], float] = time.time
) -> AsyncIterator[Rehearsal]:
    """Decide by the home's rules on a copy of its people, gone afterwards. Without `ask` no system is called."""
    from loguru import logger

    from carex.people import open_people
    from carex.people.rehearsal import copy_people

    logger.remove()  # what is only tried is not logged
    settings, registry = root.settings, root.registry
    rules = rules_of(settings) if ask else replace(rules_of(settings), sources=())
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carex-")))
        copy_people(root.people_file, folder / "people.db", fresh=fresh)
        people = open_people(
            folder / "people.db",
            window=settings.queue.dedupe_window,
            retry_delay=settings.people.retry_delay,
            clock=clock,
            rules=rules,
            strategies=registry.strategies,
        )
        stack.push_async_callback(people.close)
        clients = {}
        if ask:
            clients = await _connect(people, settings, registry, f"sqlite://{folder}/queue.db", folder, stack)
        yield Rehearsal(people, clients)


def ask_portal(root: Root) -> None:
    """Ask the portal about the employees now, and keep its answers for a minute."""
    import asyncio

    from carex.cli.process import queue_of, start
    from carex.cli.rules import people_of

    async def run() -> None:
        settings, registry = root.settings, start(root.settings, "users")
        async with AsyncExitStack() as stack:
            queue = queue_of(settings)
            stack.push_async_callback(queue.close)
            people = people_of(settings, queue, registry)
            stack.push_async_callback(people.close)
            await _connect(people, settings, registry, settings.queue.url, settings.home / "data", stack)
            await people.refresh()

    asyncio.run(run())


async def _connect(
    people: People, settings: Settings, registry: Registry, queue_url: str, folder: Path, stack: AsyncExitStack
) -> dict[str, Any]:
    """Open the plugins' clients, by the plugins' names, and let the people ask through them."""
    from carex.limiter_stores import share_of

    share = share_of(queue_url, folder)
    stack.push_async_callback(share.close)
    clients = {}
    for plugin in [each.plugin for each in registry.loaded if each.plugin.client]:
        own = settings.plugin(plugin.name, plugin.settings) if plugin.settings else None
        clients[plugin.name] = await stack.enter_async_context(plugin.open_client(own, share))
        asks = {name: partial(ask, clients[plugin.name]) for name, ask in plugin.presences.items()}
        people.sources.update(asks)
    return clients
