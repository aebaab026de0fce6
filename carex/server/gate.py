"""Who may call what: two tokens, and the loopback, which needs none.

| caller                              | may                                                   |
|-------------------------------------|-------------------------------------------------------|
| anybody                             | ask for `/health`                                     |
| `/in/INTAKE_TOKEN/…`                | put tasks (a robot can send nothing but a URL)        |
| `Authorization: Bearer ADMIN_TOKEN` | everything                                            |
| this machine, by its own name       | everything (but not through a proxy)                  |
| others, with `server.open_intake`   | the webhooks of old callers (`may_be_open`)           |

The gate is also where errors become answers and where a request is logged: by its route, never by its path.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carex import log
from carex.errors import ConfigError
from carex.server.answers import Problem, refusal

if TYPE_CHECKING:
    from pydantic import SecretStr

    from carex.plugin import Webhook
    from carex.settings import Settings

PROXY_HEADERS = {b"forwarded", b"via", b"x-real-ip"}
"""And everything that begins with `x-forwarded-`."""
RETRY_ERRORS = "/retry-errors"
"""A GET that acts (kept from the old installation)."""


def check_bind(settings: Settings) -> None:
    """Raise ConfigError if the server would listen to other machines without both tokens."""
    server = settings.server
    if _is_loopback(server.host):
        return
    missing = [name for name in ("intake_token", "admin_token") if not getattr(server, name)]
    if missing:
        variables = " and ".join(f"CAREX_SERVER__{name.upper()}" for name in missing)
        raise ConfigError(
            f"server.host {server.host!r} is open to other machines, but {' and '.join(missing)} not set.",
            f"Set {variables} in .env (`carex init` writes both), or listen on 127.0.0.1.",
        )


def open_paths(webhooks: Mapping[str, Webhook]) -> set[str]:
    """The paths that `server.open_intake` opens."""
    return {path for path, webhook in webhooks.items() if webhook.may_be_open}


class Gate:
    """ASGI middleware: admits a request or refuses it, and answers for every error behind it."""

    def __init__(self, app: ASGIApp, settings: Settings, webhooks: Mapping[str, Webhook]) -> None:
        self.app = app
        self._webhooks = webhooks
        self._intake = _bytes(settings.server.intake_token)
        self._admin = _bytes(settings.server.admin_token)
        self._notes: list[str] = []
        self._open = open_paths(webhooks) if settings.server.open_intake else set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status, answered = 0, False

        async def watched(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                answered = not message.get("more_body")
            await send(message)

        try:
            scope = self._admit(scope)
            await self.app(scope, receive, watched)
        except Exception as error:  # the last place where it can become an answer
            if status and not answered:
                raise  # half an answer is out: only closing the connection is honest
            if not status:
                await refusal(error)(scope, receive, watched)
        self._note(f"{scope['method']} {_route(scope)} {status} {(time.perf_counter() - started) * 1000:.1f} ms")

    def _note(self, line: str) -> None:
        """Log a request; those of one turn of the event loop are written at once."""
        if not self._notes:
            asyncio.get_running_loop().call_soon(self._write)
        self._notes.append(line)

    def _write(self) -> None:
        lines, self._notes = self._notes, []
        log.lines("DEBUG", __name__, lines)

    def _admit(self, scope: Scope) -> Scope:
        """The scope to go on with, without the token in its path. Raises Problem."""
        path, method = scope["path"], scope["method"]
        if path.startswith("/in/"):
            token, _, rest = path[4:].partition("/")
            _check(token.encode(), self._intake)
            if f"/{rest}" not in self._webhooks and (not rest.startswith("tasks/") or method == "GET"):
                raise Problem(403, "forbidden", "The intake token may only put tasks.", "Use the admin token.")
            return {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        if path == "/health":
            return scope
        headers = dict(scope["headers"])
        if headers.get(b"sec-fetch-site") == b"cross-site" and (method != "GET" or path == RETRY_ERRORS):
            raise Problem(403, "forbidden", "Another site's page may not do this.")
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if self._admin and scheme.lower() == b"bearer":
            _check(token.strip(), self._admin)
            return scope
        if path in self._open or _is_local(scope, headers):
            return scope
        raise _unauthorized(
            "This needs a token.", "Send 'Authorization: Bearer ADMIN_TOKEN', or post to /in/INTAKE_TOKEN/…"
        )


def _route(scope: Scope) -> str:
    """The path with its parameters' names for their values; nothing of a path that leads nowhere."""
    if "endpoint" not in scope:
        return "-"
    path: str = scope["path"]
    for name, value in scope["path_params"].items():
        path = path.replace(f"/{value}", f"/{{{name}}}")
    return path


def _check(given: bytes, expected: bytes | None) -> None:
    if expected is None or not hmac.compare_digest(given, expected):
        raise _unauthorized("The token is wrong.")


def _unauthorized(message: str, hint: str | None = None) -> Problem:
    return Problem(401, "unauthorized", message, hint, headers={"WWW-Authenticate": "Bearer"})


def _is_local(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether this machine itself asks, and by its own name: a page whose name was made to point here uses another,
    a page from elsewhere has another origin, and HTTP/1.0 is what a proxy speaks that was told nothing else (nginx)."""
    client = scope.get("client")
    if client is None or not _is_loopback(client[0]) or scope.get("http_version") == "1.0":
        return False
    if PROXY_HEADERS & headers.keys() or any(name.startswith(b"x-forwarded-") for name in headers):
        return False
    origin = headers.get(b"origin", b"http://localhost").partition(b"://")[2]
    return all(_is_loopback(_host(place)) for place in (headers.get(b"host", b"localhost"), origin))


def _host(place: bytes) -> str:
    """The host of `host:port`, in brackets or not."""
    name, _, port = place.decode("latin-1").rpartition(":")
    return (name if name and port.isdecimal() else f"{name}:{port}" if name else port).strip("[]")


@lru_cache(maxsize=1024)
def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _bytes(token: SecretStr | None) -> bytes | None:
    return token.get_secret_value().encode() if token else None
