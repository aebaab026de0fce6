"""OpenProject: makes projects and work packages, changes them, comments on them and gives them to people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from carex import Plugin
from carex_openproject.settings import Settings

if TYPE_CHECKING:
    from carex_openproject.client import OpenProject


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[OpenProject]:
    """The OpenProject that the settings name. Nothing is sent until the first call."""
    from carex_openproject.client import OpenProject  # brings the network libraries, which only a worker needs

    async with OpenProject(settings) as client:
        yield client


plugin = Plugin("openproject", settings=Settings, client=open_client)

from carex_openproject import assign, check, comments, projects, work_packages  # noqa: E402, F401 - they register themselves

__all__ = ["Settings", "open_client", "plugin"]
