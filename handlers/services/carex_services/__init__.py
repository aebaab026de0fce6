"""What services written in Python do for a process: `send_email` and `http_request`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carex import Fail, Plugin
from carex_services.settings import Settings

if TYPE_CHECKING:
    from carex_services.post import Post
    from carex_services.web import Web


@dataclass(frozen=True)
class Outside:
    """The mail server, and the hosts that may be called."""

    post: Post
    web: Web


@asynccontextmanager
async def open_outside(settings: Settings) -> AsyncIterator[Outside]:
    """What the settings name. Nothing is connected until the first call. Raises Fail for folders that are not there."""
    if missing := settings.missing():
        raise Fail(missing)
    from carex_services.post import Post  # these bring the network libraries, which only a worker needs
    from carex_services.web import Web

    async with Web(settings) as web:
        yield Outside(Post(settings), web)


plugin = Plugin("services", settings=Settings, client=open_outside)

from carex_services import checks, request, send  # noqa: E402, F401 - they register themselves

__all__ = ["Outside", "Settings", "open_outside", "plugin"]
