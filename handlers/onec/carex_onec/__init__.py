"""1C:Enterprise: writes and reads objects of an infobase over OData, and calls its HTTP services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from carex import Plugin
from carex_onec.settings import Settings

if TYPE_CHECKING:
    from carex_onec.client import Infobase


@asynccontextmanager
async def open_infobase(settings: Settings) -> AsyncIterator[Infobase]:
    """The infobase that the settings name. Nothing is sent until the first request; its sessions end with this."""
    from carex_onec.client import Infobase  # brings the network libraries, which only a worker needs

    async with Infobase(settings) as infobase:
        yield infobase


plugin = Plugin("onec", settings=Settings, client=open_infobase)

from carex_onec import call, check, get, sync  # noqa: E402, F401 - they register themselves

__all__ = ["Settings", "open_infobase", "plugin"]
