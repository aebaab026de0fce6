"""HTTP to the hosts that the settings name, and to nothing else. This file brings the network libraries."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import time
from typing import Any

import aiohttp
import anyio
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from carex import send_once
from carex_services.hosts import Entry, Place, find, is_literal, is_open, place_of
from carex_services.settings import Settings

CONNECT_TIMEOUT = 10.0
MOST_REDIRECTS = 5
LONGEST_PAUSE = 3600.0
_REDIRECTS = {301, 302, 303, 307, 308}
_OWN = {"accept", "content-type", "idempotency-key", "user-agent"}
"""What another host than the one that was asked is sent too; all other headers may be secrets meant for the first."""
_BROKEN = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError)


class NotAllowed(Exception):
    """The settings do not let this be called. Nothing was sent there."""


class NotSent(Exception):
    """Nothing reached the host."""


class Unknown(Exception):
    """The request was sent, and no whole answer came."""


class Useless(Exception):
    """There is an answer, but not one that can be taken."""


@dataclass(frozen=True)
class Answer:
    """What a host answered; `pause` is for how many seconds it does not want to be asked again, if it said so."""

    status: int
    type: str
    body: bytes
    encoding: str
    pause: float | None


class Web:
    """Sends requests. No cookies, no proxies, no connection kept: nothing of one task gets into another's request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.entries = [Entry.of(each) for each in settings.http_hosts]

    async def __aenter__(self) -> Web:
        context = await asyncio.to_thread(ssl.create_default_context)
        if self._settings.ca_file is not None:
            context.load_verify_locations(self._settings.ca_file)
        # A kept connection that the host closes just now leaves open whether it has seen the request.
        self._resolver = _Resolver(self._settings)
        connector = aiohttp.TCPConnector(ssl=context, resolver=self._resolver, force_close=True, use_dns_cache=False)
        jar = aiohttp.DummyCookieJar()
        session = aiohttp.ClientSession(connector=connector, cookie_jar=jar, middlewares=[send_once])
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(client=session, verify=context),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Answer:
        """Send a request; follow redirects as far as they stay with the hosts that are allowed.

        Raises NotAllowed, NotSent, Unknown, or Useless.
        """
        try:
            with anyio.fail_after(self._settings.http_timeout):
                return await self._follow(method, self._allowed(url), dict(headers), content)
        except TimeoutError:
            raise Unknown(f"no whole answer within {self._settings.http_timeout:g} s") from None

    async def look_up(self, entry: Entry) -> str:
        """What is wrong with an entry of `http_hosts`; empty if nothing is. Nothing is connected."""
        if "*" in entry.host or is_literal(entry.host):
            return ""
        try:
            await self._resolver.resolve(entry.host, entry.port)
        except OSError as error:
            return _plain(error)
        return ""

    async def _follow(self, method: str, place: Place, headers: dict[str, str], content: bytes | None) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._send(method, place, headers, content)
            if isinstance(answer, Answer):
                return answer
            status, target = answer
            if status in (301, 302) and method not in ("GET", "HEAD"):
                raise Useless(f"{place} has moved to {target} (HTTP {status}); name that address")
            if status == 303 and method != "HEAD":
                method, content = "GET", None
            there = self._allowed(target.url, f"{place} redirects to {target}; ")
            if place.scheme == "https" and there.scheme == "http":
                raise NotAllowed(f"{place} redirects to {there}, which is not encrypted")
            if (there.scheme, there.host, there.port) != (place.scheme, place.host, place.port):
                headers = {name: value for name, value in headers.items() if name.lower() in _OWN}
            place = there
        raise Useless(f"{place}: more than {MOST_REDIRECTS} redirects")

    def _allowed(self, url: str, before: str = "") -> Place:
        try:
            place = place_of(url)
        except ValueError as error:
            raise NotAllowed(f"{before}{error}") from None
        if find(place, self.entries) is None:
            raise NotAllowed(f"{before}{place.scheme}://{place.host}:{place.port} is not in http_hosts")
        return place

    async def _send(
        self, method: str, place: Place, headers: Mapping[str, str], content: bytes | None
    ) -> Answer | tuple[int, Place]:
        """The answer, or where it says to go instead."""
        entry = find(place, self.entries)
        own = self._settings.header_for(entry.written) if entry else {}
        # Encoded answers may grow a thousandfold when they are decoded.
        sent = httpx.Headers({**headers, "Accept-Encoding": "identity"})
        sent.update(own)
        try:
            request = self._client.build_request(method, place.url, headers=sent, content=content)
            response = await self._client.send(request, stream=True)
        except _BROKEN as error:
            raise _failure(place, error) from None
        try:
            location = response.headers.get("location", "")
            if response.status_code in _REDIRECTS and location:
                return response.status_code, _target(place, location)
            return await self._read(place, response)
        except _BROKEN as error:
            raise Unknown(f"{place}: {_plain(error)}") from None
        finally:
            await response.aclose()

    async def _read(self, place: Place, response: httpx.Response) -> Answer:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() not in ("", "identity"):
            raise Useless(
                f"{place}: HTTP {response.status_code}, encoded as {encoding[:40]!r} although that was not wanted"
            )
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._settings.http_max_bytes:
                raise Useless(
                    f"{place}: HTTP {response.status_code} with more than the {self._settings.http_max_bytes} bytes "
                    "that http_max_bytes allows"
                )
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        pause = _pause(response.headers.get("retry-after"))
        return Answer(response.status_code, kind, bytes(body), response.charset_encoding or "utf-8", pause)


class _Private(OSError):
    """A name leads to addresses that are not open to it."""


class _Resolver(AbstractResolver):
    """Looks names up at the very moment of connecting, so that what was checked is what is called."""

    def __init__(self, settings: Settings) -> None:
        self._networks = settings.http_networks
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        good = [each for each in found if is_open(each["host"], self._networks)]
        if not good:
            raise _Private(f"{host} is at {found[0]['host']}, a private address; see http_networks")
        return good

    async def close(self) -> None:
        await self._inner.close()


def _failure(place: Place, error: BaseException) -> Exception:
    """What it means that no answer came at all."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, _Private):
        return NotAllowed(str(cause.os_error))
    # httpx-aiohttp says ConnectTimeout for every lost connection, also for one that broke after the request was sent.
    if isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return NotSent(f"{place}: {_plain(cause)}")
    if isinstance(error, (ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return NotAllowed(f"{place}: {_plain(error)}")
    return Unknown(f"{place}: {_plain(error)}")


def _target(place: Place, location: str) -> Place:
    try:
        return place_of(str(httpx.URL(place.url).join(location)))
    except (ValueError, httpx.InvalidURL):
        raise Useless(f"{place} redirects to what is no address") from None


def _pause(given: str | None) -> float | None:
    """Seconds from a Retry-After, which has either them or a date."""
    if given is None:
        return None
    try:
        seconds = float(given) if given.strip().isdigit() else parsedate_to_datetime(given).timestamp() - time()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 1.0), LONGEST_PAUSE)


def _plain(error: Any) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
