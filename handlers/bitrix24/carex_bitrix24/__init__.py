"""Bitrix24: gives deals to employees, and takes the calls of the portal's robots."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from carex import Plugin, Share
from carex_bitrix24.settings import Settings

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal


@asynccontextmanager
async def open_portal(settings: Settings, share: Share | None = None) -> AsyncIterator[Portal]:
    """The portal that the settings name. Nothing is sent until the first call.

    Whoever has the same `share` keeps to the portal's limits together.
    """
    from carex_bitrix24.client import Portal  # brings the network libraries, which only a worker needs

    async with Portal(settings, share=share) as portal:
        yield portal


plugin = Plugin("bitrix24", settings=Settings, client=open_portal)

from carex_bitrix24 import assign, check, employees, events, items, messages, presence, tasks, webhooks  # noqa: E402, F401 - they register themselves

__all__ = ["Settings", "open_portal", "plugin"]
