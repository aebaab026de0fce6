"""The way to the infobase: one sending per request, no cookies but those that are given to it, and what a connection
that broke tells. This file brings the network libraries."""

from __future__ import annotations

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

BROKEN = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)
"""What a request ends with if no whole answer came. aiohttp's own errors pass httpx's transport now and then."""
TLS = httpx.create_ssl_context()
"""Made as this is imported, so that processes that are forked afterwards share it: it takes 20 ms."""
_KEEP_ALIVE = 5.0


def open_transport() -> AiohttpTransport:
    """A transport that sends what changes anything once: an object, or the sessions that are open."""

    def session() -> aiohttp.ClientSession:
        # A jar would put one session's cookie into the requests of all others.
        connector = aiohttp.TCPConnector(ssl=TLS, keepalive_timeout=_KEEP_ALIVE)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=[_once])

    return AiohttpTransport(verify=TLS, client=session)


def never_sent(error: BaseException) -> bool:
    """Whether the request surely did not reach 1C.

    httpx-aiohttp (0.2.0) says ConnectTimeout for every lost connection; aiohttp's error behind it tells them apart.
    """
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientError):
        return isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL))


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp (3.14) by itself sends PUT and DELETE again whose connection was lost; 1C may have carried them out."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET" and "IBSession" not in request.headers:
            raise
        raise aiohttp.ClientConnectionError(str(error)) from error  # this one it does not try again
