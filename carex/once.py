"""Keeps aiohttp from sending a request a second time behind everybody's back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


async def send_once(request: Any, send: Callable[[Any], Awaitable[Any]]) -> Any:
    """A middleware for `aiohttp.ClientSession(middlewares=[send_once])`.

    aiohttp (3.14) sends what is idempotent by the book, PUT and DELETE too, again if the connection was lost, and says
    nothing; but the other side may have done it, and doing it twice may not be the same. Only GET and HEAD still are.
    """
    import aiohttp

    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise  # it was never sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method in ("GET", "HEAD"):
            raise
        raise aiohttp.ClientConnectionError(str(error)) from error  # this one it does not try again
