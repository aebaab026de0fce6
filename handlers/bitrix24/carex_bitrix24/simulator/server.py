"""The portal on a real port, with connections that can really be cut."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from carex_bitrix24.simulator.answer import CUT
from carex_bitrix24.simulator.portal import Portal


@asynccontextmanager
async def serve(
    portal: Portal, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Run the portal in this loop and yield the URL of its webhook. Port 0 means any free one.

    The portal's state outlives the server: to have it away for a while, with connections really refused, leave this
    context and enter it again with the same portal and port. With `tls`, its address is https.
    """
    config = uvicorn.Config(
        portal.asgi(),
        http=cast(Any, _cuttable),
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.ssl = tls
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = _listener(host, port)
    # Not server.serve(): it would take over the signals of the process, and this loop is somebody else's.
    await server.startup(sockets=[listener])
    loop = asyncio.create_task(server.main_loop())
    posting = asyncio.create_task(portal.events.keep_delivering())
    try:
        yield f"{'https' if tls else 'http'}://{host}:{listener.getsockname()[1]}/rest/{portal.user_id}/{portal.secret}/"
    finally:
        posting.cancel()
        server.should_exit = True
        await loop
        await server.shutdown(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    # asyncio turns off the waiting for small packets only on sockets that say they are TCP; create_server's do not.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


def _cuttable(**given: Any) -> H11Protocol:
    """Return uvicorn's protocol for one connection, with a way for the application to cut it."""
    protocol = H11Protocol(**given)
    app = protocol.app
    # On the connection, not in the settings: those would silence every uvicorn of the process.
    protocol.access_log = False

    def cut(*, reset: bool) -> None:
        connection = protocol.transport.get_extra_info("socket")
        if reset and connection is not None:
            # To linger for no time at all makes the closing a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        protocol.transport.abort()

    async def with_cut(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[CUT] = cut
        await app(cast(Any, scope), cast(Any, receive), cast(Any, send))

    protocol.app = cast(Any, with_cut)
    return protocol
