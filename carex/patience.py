"""Asks a storage that does not answer again and again, until it does."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from loguru import logger

from carex.errors import Unreachable
from carex.queue import Delivery

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


class Patience:
    """One worker's. `missed` is called whenever there was no answer."""

    def __init__(self, missed: Callable[[], None]) -> None:
        self.missed = missed

    async def until_done(
        self, what: str, act: Callable[[], Awaitable[list[Delivery]]], *, until: asyncio.Event | None = None
    ) -> list[Delivery]:
        """Do it, however often the storage fails to answer, or `until` an event; say so once, and when it is over."""
        pause = FIRST_PAUSE
        while True:
            try:
                result = await act()
            except Unreachable as error:
                self.missed()
                if pause == FIRST_PAUSE:
                    logger.error("Cannot {}: {} Trying on.", what, error.message)
                with contextlib.suppress(asyncio.TimeoutError):
                    waiting = until.wait() if until else asyncio.Event().wait()
                    await asyncio.wait_for(waiting, random.uniform(0, pause))  # noqa: S311 - no secret hangs on it
                    return []
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                if pause > FIRST_PAUSE:
                    logger.info("Storage answers again.")
                return result
