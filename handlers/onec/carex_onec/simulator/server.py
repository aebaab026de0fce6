"""The stand-in on a real port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from carex.testing import served
from carex_onec.simulator.publication import Publication


@asynccontextmanager
async def serve(publication: Publication, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Run it in this loop and yield the URL of the infobase. Port 0 means any free one."""
    async with served(publication.asgi(), host, port) as url:
        yield f"{url}/base"
