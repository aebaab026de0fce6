"""One HTTP request to the portal, and what its answer means. This file brings the network libraries."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport
from loguru import logger

import carex
from carex_bitrix24.answers import Kind, Verdict, classify, plain
from carex_bitrix24.settings import Settings
from carex_bitrix24.transport import BROKEN, MASK, Sealed, never_sent

LONGEST_TEXT = 500
TLS = httpx.create_ssl_context()
"""Made as this is imported, so that processes that are forked afterwards share it: it takes 20 ms."""


class Wire:
    """Sends calls to the webhook's address. Whatever it returns or logs, the webhook's secret is not in it."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        webhook = settings.webhook.get_secret_value() if settings.webhook else ""
        rest, _, self._secret = webhook.rstrip("/").rpartition("/")
        self._timeout = settings.timeout
        self.base = f"{rest}/{MASK}/"
        self.user_id = int(rest.rpartition("/")[2] or 0)
        """Whose webhook it is."""
        self.ahead = 0.0
        self._http = httpx.AsyncClient(
            transport=Sealed(transport or AiohttpTransport(verify=TLS), self._secret),
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            headers={"Accept": "application/json", "User-Agent": f"carex/{carex.__version__}"},
            follow_redirects=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self, method: str, params: Mapping[str, Any], *, rest3: bool = False, key: str | None = None
    ) -> Verdict:
        """Send a call; if the portal has moved, once more to the new address. `key` is an Idempotency-Key of REST 3."""
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self._post(self.base, method, params, rest3, headers)
        moved = _moved_to(answer, self.base) if isinstance(answer, httpx.Response) else None
        if moved:
            answer = await self._post(moved, method, params, rest3, headers)
        if isinstance(answer, Verdict):
            return self.sealed(answer)
        body = _decode(answer)
        if moved and isinstance(body, dict) and self.base != moved:
            self.base = moved
            logger.error("The portal has moved to {}: put that address into WEBHOOK_CAREX.", _origin(moved))
        self._compare_clocks(body)
        return self.sealed(classify(answer.status_code, body))

    async def _post(
        self, base: str, method: str, params: Mapping[str, Any], rest3: bool, headers: Mapping[str, str]
    ) -> httpx.Response | Verdict:
        where = base.replace("/rest/", "/rest/api/", 1) if rest3 else base
        try:
            return await self._http.post(f"{where}{method}", json=params, headers=headers)
        except httpx.ReadTimeout:
            return Verdict(Kind.OUTAGE, f"no answer within {self._timeout:g} s")
        except BROKEN as error:
            said = plain(str(error)) or type(error.__cause__ or error).__name__
            if never_sent(error):
                return Verdict(Kind.UNSENT, f"no connection to {_origin(base)} ({said})")
            return Verdict(Kind.OUTAGE, f"the connection broke ({said})")

    def _compare_clocks(self, body: Any) -> None:
        spent = body.get("time") if isinstance(body, dict) else None
        finish = spent.get("finish") if isinstance(spent, dict) else None
        if isinstance(finish, (int, float)):
            self.ahead = finish - time.time()

    def sealed(self, verdict: Verdict) -> Verdict:
        """The portal's words may repeat the address. Shortened only afterwards, lest half a secret is left over."""
        said = verdict.reason.replace(self._secret, MASK) if self._secret else verdict.reason
        return replace(verdict, reason=said[:LONGEST_TEXT])


def _decode(answer: httpx.Response) -> Any:
    """The JSON, or the text if it is none."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return answer.content.decode("utf-8", "replace")


def _moved_to(answer: httpx.Response, base: str) -> str | None:
    """The webhook's address on another host, if this answer says that the portal was renamed.

    A redirect to a page (a login form) is no renaming, and a secret that went over https never goes over http.
    """
    if answer.status_code not in (301, 302, 307, 308):
        return None
    new, old = httpx.URL(answer.headers.get("location", "")), httpx.URL(base)
    safe = new.scheme == "https" or (new.scheme == old.scheme == "http")
    elsewhere = bool(new.host) and not new.userinfo and (new.scheme, new.netloc) != (old.scheme, old.netloc)
    if safe and elsewhere and (new.path == "/" or "/rest/" in new.path):
        return str(old.copy_with(scheme=new.scheme, netloc=new.netloc))
    return None


def _origin(base: str) -> str:
    return str(httpx.URL(base).copy_with(path="/")).rstrip("/")
