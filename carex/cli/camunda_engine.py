"""What the commands that speak to the engine have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from carex.camunda.variables import moment
from carex.cli import Root, output

if TYPE_CHECKING:
    from carex.camunda.engine import Engine

T = TypeVar("T")


def on_engine(root: Root, work: Callable[[Engine], Awaitable[T]]) -> T:
    """Run `work` with the engine that the settings name."""
    from carex.camunda.engine import Engine

    settings = root.settings.camunda

    async def run() -> T:
        async with Engine(settings) as engine:
            return await work(engine)

    return asyncio.run(run())


def when(date: str | None) -> str:
    """A date of the engine as a person reads it, in local time."""
    return output.when(moment(date)) if date else "–"
