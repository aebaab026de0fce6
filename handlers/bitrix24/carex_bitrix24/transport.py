"""The last step of a call on its way to the portal. This file brings the network libraries."""

from __future__ import annotations

import aiohttp
import httpx

MASK = "***"

BROKEN = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)
"""What a call ends with if no whole answer came. aiohttp's own errors pass httpx's transport now and then."""


class Sealed(httpx.AsyncBaseTransport):
    """Puts the secret into the address where nobody reads it any more.

    httpx writes every address to its log, and its exceptions carry their request; so above this transport the
    address has a mask in the secret's place.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, secret: str) -> None:
        self._inner = inner
        self._secret = secret

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.replace(f"/{MASK}/", f"/{self._secret}/", 1)
        opened = httpx.Request(
            request.method,
            request.url.copy_with(path=path),
            headers=request.headers,
            content=await request.aread(),
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(opened)

    async def aclose(self) -> None:
        await self._inner.aclose()


def never_sent(error: BaseException) -> bool:
    """Whether the call surely did not reach the portal.

    httpx-aiohttp (0.2.0) says ConnectTimeout for every lost connection, also for one that broke after the request
    was sent; aiohttp's error behind it tells them apart.
    """
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientError):
        return isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
