"""How calls reach the engine: one pool of connections, credentials that are shown carefully, answers classified."""

from __future__ import annotations

import asyncio
import json
import os
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from carex.camunda.answers import Answer, EngineError, Verdict, classify
from carex.errors import ConfigError
from carex.masking import HIDDEN, mask

if TYPE_CHECKING:
    import aiohttp

    from carex.settings import CamundaSettings

CONNECT, REPLY = 5.0, 30.0
"""Seconds to connect, and to answer a call that does not say how long it may take."""
AFTER_REFUSAL = 5.0
"""Seconds without another try after a 401: the engine locks a user out who keeps failing."""
POOL = 64


class Rest:
    """JSON over HTTP to one engine. `address` is where it is, without a secret.

    Constructing it raises ConfigError if the settings do not name an engine; a call raises EngineError for anything
    but success.
    """

    def __init__(self, settings: CamundaSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.address, userinfo = _address(settings)
        self._headers = {"Accept": "application/json, */*;q=0.1", **_authorization(settings, userinfo)}
        self._clock = clock
        self._admitted = "Authorization" not in self._headers
        self._refused_until = 0.0
        self._door = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self.date = ("", 0.0)
        """The Date header of the last answer, and when it came, by `clock`."""

    async def open(self) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL), cookie_jar=aiohttp.DummyCookieJar(), headers=self._headers
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def version(self) -> str:
        found = await self.get("version", "/version")
        if not isinstance(found, dict) or "version" not in found:
            raise _error("version", Verdict.CONFIGURATION, f"{self.address}: what answers here is no engine")
        return str(found["version"])

    async def get(self, call: str, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._parsed(call, await self.send("GET", call, path, query=query))

    async def post(
        self, call: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None, *, timeout: float = REPLY
    ) -> Any:
        return self._parsed(call, await self.send("POST", call, path, _json(call, body), query=query, timeout=timeout))

    async def put(self, call: str, path: str, body: Any) -> Any:
        return self._parsed(call, await self.send("PUT", call, path, _json(call, body)))

    async def upload(self, call: str, path: str, fields: Mapping[str, str], files: Mapping[str, bytes]) -> Any:
        """Post a form of fields and files."""
        import aiohttp

        form = aiohttp.FormData(default_to_multipart=True)
        for field, value in fields.items():
            form.add_field(field, value)
        for filename, content in files.items():
            form.add_field(filename, content, filename=filename, content_type="application/octet-stream")
        return self._parsed(call, await self.send("POST", call, path, form))

    async def send(
        self,
        method: str,
        call: str,
        path: str,
        data: bytes | aiohttp.FormData | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        timeout: float = REPLY,
    ) -> bytes:
        """Make one call and return what was answered. Bytes are sent as JSON; None in a query means not given."""
        if not self._admitted:
            await self._knock()
        return await self._send(method, call, path, data, query, timeout)

    async def _knock(self) -> None:
        """Show the credentials at one small call, alone, before all others use them."""
        async with self._door:
            if self._admitted:
                return
            if self._clock() < self._refused_until:
                raise _error(
                    "version", Verdict.CONFIGURATION, f"{self.address} refused the user and is not asked again yet"
                )
            await self._send("GET", "version", "/version")
            self._admitted = True

    async def _send(
        self,
        method: str,
        call: str,
        path: str,
        data: bytes | aiohttp.FormData | None = None,
        query: Mapping[str, Any] | None = None,
        timeout: float = REPLY,
    ) -> bytes:
        import aiohttp

        if self._session is None:
            raise RuntimeError("An Engine is used as `async with Engine(…) as engine`.")
        try:
            async with self._session.request(
                method,
                self.address + path,
                data=data,
                params=_query(query) if query else None,
                headers={"Content-Type": "application/json"} if isinstance(data, bytes) else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT),
            ) as reply:
                content = await reply.read()
                self.date = (reply.headers.get("Date", ""), self._clock())
        except asyncio.TimeoutError:  # also where aiohttp raises one of its own
            raise _error(call, Verdict.OUTAGE, f"{self.address} did not answer within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _error(call, Verdict.OUTAGE, f"{self.address}: {_trouble(error)}") from None
        if reply.status == 401:
            self._admitted = False
            self._refused_until = self._clock() + AFTER_REFUSAL
        answer = classify(reply.status, reply.content_type, content, call=call)
        if answer.verdict is Verdict.CONFIGURATION:
            raise _error(call, answer.verdict, f"{self.address}: {answer.message}")
        if answer.verdict is not Verdict.DONE:
            raise EngineError(call, answer)
        return content

    def _parsed(self, call: str, content: bytes) -> Any:
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise _error(call, Verdict.CONFIGURATION, f"{self.address}: what answers here is no engine") from None


def _error(call: str, verdict: Verdict, message: str) -> EngineError:
    return EngineError(call, Answer(verdict, message))


def _json(call: str, body: Any) -> bytes | None:
    if body is None:
        return None
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _error(call, Verdict.BAD_INPUT, f"this is not JSON: {error}") from None


def _query(query: Mapping[str, Any]) -> dict[str, str]:
    return {name: _word(value) for name, value in query.items() if value is not None}


def _word(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _trouble(error: Exception) -> str:
    """What went wrong with the connection, in the system's words where it has any."""
    import aiohttp

    if isinstance(error, aiohttp.ClientResponseError):
        return "what answers here does not speak HTTP"
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None) or 0  # name resolution has negative ones, and words of its own
    words = os.strerror(number) if number > 0 else getattr(cause, "strerror", None)
    return words or str(cause) or type(cause).__name__


def _address(settings: CamundaSettings) -> tuple[str, str]:
    """The address without a user or password in it, and these."""
    example = "as in http://localhost:8080/engine-rest"
    if not settings.base_url:
        raise ConfigError("camunda.base_url is not set: no engine is known.", f"Set CAMUNDA_BASE_URL, {example}.")
    parts = urlsplit(settings.base_url.strip().rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = mask(settings.base_url) if "://" in settings.base_url else HIDDEN  # there may be a password in it
        raise ConfigError(f"camunda.base_url is not the address of an engine: {shown}", f"Write it {example}.")
    userinfo, _, place = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, place, parts.path, "", "")), userinfo


def _authorization(settings: CamundaSettings, userinfo: str) -> dict[str, str]:
    user, password, token = settings.auth_username, settings.auth_password, settings.auth_token
    if token is not None and user:
        raise ConfigError("Both camunda.auth_token and camunda.auth_username are set.", "Leave one of them out.")
    if token is not None:
        return {"Authorization": f"Bearer {token.get_secret_value()}"}
    name, _, secret = (unquote(part) for part in userinfo.partition(":"))
    if user:
        name, secret = user, password.get_secret_value() if password is not None else ""
    return {"Authorization": f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"} if name else {}
