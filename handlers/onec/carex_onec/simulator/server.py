"""The stand-in on a real port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from carex_onec.simulator.publication import Publication


@asynccontextmanager
async def serve(publication: Publication, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Run it in this loop and yield the URL of the infobase. Port 0 means any free one."""
    config = uvicorn.Config(
        publication.asgi(), http="h11", ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server((host, port))
    # Not server.serve(): it would take over the signals of the process, and this loop is somebody else's.
    await server.startup(sockets=[listener])
    loop = asyncio.create_task(server.main_loop())
    try:
        yield f"http://{host}:{listener.getsockname()[1]}/base"
    finally:
        server.should_exit = True
        await loop
        await server.shutdown(sockets=[listener])
