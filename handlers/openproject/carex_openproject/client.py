"""OpenProject's API: `get`, `post`, `patch` and `pages`. This file brings the network libraries."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from loguru import logger

import carex
from carex import BpmnError, Fail, Retry, Wait
from carex_openproject.answers import Kind, Verdict, classify, plain
from carex_openproject.settings import Settings

OUTAGE_DELAY = 5.0
BUSY_DELAY = 10.0
MEND_DELAY = 30.0
LONGEST_DELAY = 300.0
LONGEST_TEXT = 500
PAGE = 100
TLS = httpx.create_ssl_context()
"""Made as this is imported, so that processes that are forked afterwards share it: it takes 20 ms."""

_BROKEN = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)
"""What a request ends with if no whole answer came. aiohttp's own errors pass httpx's transport now and then."""


class Conflict(Retry):
    """Somebody else changed it since it was read; whoever does not read it again tries again later."""


class OpenProject:
    """An OpenProject behind an API token. Whatever it raises or logs, the token is not in it.

    All of its methods raise Wait for limits, outages and settings that a person has to mend; Retry if OpenProject
    failed inside; BpmnError("NOT_FOUND") for what is missing or hidden and BpmnError("INVALID", variables={"problems":
    {attribute: message}}) for values that it does not take; Conflict; and Fail for anything else.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.url = settings.url or ""
        self._missing = ", ".join(name for name in ("url", "token") if getattr(settings, name) is None)
        self._token = settings.token.get_secret_value() if settings.token else ""
        self._clock = clock
        self._closed = (0.0, "")
        """Until when nothing is sent, and why."""
        self._basic = base64.b64encode(f"apikey:{self._token}".encode()).decode()
        self._http = httpx.AsyncClient(
            transport=transport or AiohttpTransport(verify=TLS),
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            headers={
                "Accept": "application/hal+json",
                "Authorization": f"Bearer {self._token}" if settings.auth == "bearer" else f"Basic {self._basic}",
                "User-Agent": f"carex/{carex.__version__}",
            },
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return f"<OpenProject {self.url if self.configured else 'not configured'}>"

    @property
    def configured(self) -> bool:
        return not self._missing

    async def __aenter__(self) -> OpenProject:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Read `path`, which is relative to /api/v3/."""
        return await self._ask("GET", path, params, None, repeatable=True)

    async def pages(self, path: str, **params: Any) -> AsyncIterator[dict[str, Any]]:
        """The elements of a collection, page after page; `offset` is the number of one. Some have no pages."""
        page: int | None = 1
        while page is not None:
            answer = await self.get(path, **params, offset=page, pageSize=PAGE)
            embedded = answer.get("_embedded")
            elements = embedded.get("elements") if isinstance(embedded, Mapping) else None
            for each in elements or ():
                yield each
            page = page + 1 if elements and "nextByOffset" in answer.get("_links", {}) else None

    async def post(
        self, path: str, body: Mapping[str, Any], *, repeatable: bool = False, **params: Any
    ) -> dict[str, Any]:
        """Send `body`. When nobody can know whether it was carried out, raises a Wait: look before you do it again.

        Nothing that is not `repeatable` is given back as if it had not happened.
        """
        return await self._ask("POST", path, params, body, repeatable)

    async def patch(self, path: str, body: Mapping[str, Any], **params: Any) -> dict[str, Any]:
        """Change what `path` names. With `lockVersion` in the body it cannot happen twice."""
        return await self._ask("PATCH", path, params, body, repeatable=True)

    async def _ask(
        self, method: str, path: str, params: Mapping[str, Any], body: Mapping[str, Any] | None, repeatable: bool
    ) -> dict[str, Any]:
        what = f"{method} /{path}"
        if self._missing:
            raise Wait(f"OpenProject is not set up: plugins.openproject needs {self._missing}", MEND_DELAY)
        until, why = self._closed
        if self._clock() < until:
            raise Wait(why, until - self._clock())
        verdict, found = await self._exchange(method, path, params, body, repeatable)
        if verdict.kind is Kind.DONE:
            return found
        raise self._outcome(what, verdict, repeatable)

    async def _exchange(
        self, method: str, path: str, params: Mapping[str, Any], body: Mapping[str, Any] | None, repeatable: bool
    ) -> tuple[Verdict, dict[str, Any]]:
        """What the answer means, and its body if all went well. Nothing outside of this sees an unsealed word."""
        try:
            url = f"{self.url}/api/v3/{path}".rstrip("/")
            answer = await self._http.request(method, url, params=params, json=body)
        except asyncio.CancelledError:
            if not repeatable:
                what = f"{method} /{path}: given up before the answer came"
                raise Wait(what, self.settings.settle) from None
            raise
        except httpx.ReadTimeout:
            return Verdict(Kind.OUTAGE, f"no answer within {self.settings.timeout:g} s"), {}
        except _BROKEN as error:
            said = plain(str(error)) or type(error).__name__
            return self._sealed(Verdict(Kind.OUTAGE, f"the connection broke ({said})")), {}
        found = _decode(answer)
        verdict = classify(answer.status_code, found)
        if verdict.kind is Kind.DONE:
            return verdict, dict(found)
        return self._sealed(replace(verdict, delay=_retry_after(answer))), {}

    def _sealed(self, verdict: Verdict) -> Verdict:
        """The verdict without the token, in neither form that is sent. Shortened only afterwards, lest half a secret is
        left over."""

        def seal(text: str) -> str:
            for secret in filter(None, (self._basic, self._token)):
                text = text.replace(secret, "***")
            return text[:LONGEST_TEXT]

        problems = {seal(name): seal(text) for name, text in verdict.problems.items()}
        return replace(verdict, reason=seal(verdict.reason), problems=problems)

    def _outcome(self, what: str, verdict: Verdict, repeatable: bool) -> Wait | Retry | Fail | BpmnError:
        kind, reason = verdict.kind, f"{what}: {verdict.reason}"
        if kind is Kind.MISCONFIGURED:
            return self._close(verdict.reason, MEND_DELAY)
        if kind is Kind.BUSY:
            return self._close(reason, verdict.delay)
        if kind is Kind.OUTAGE:
            return Wait(reason, OUTAGE_DELAY if repeatable else max(OUTAGE_DELAY, self.settings.settle))
        if kind is Kind.CRASHED:
            return Retry(reason, None if repeatable else max(OUTAGE_DELAY, self.settings.settle))
        if kind is Kind.CONFLICT:
            return Conflict(reason)
        if kind is Kind.MISSING:
            return BpmnError("NOT_FOUND", f"{reason} (or the token's owner may not see it)")
        if kind is Kind.INVALID:
            return BpmnError("INVALID", reason, {"problems": dict(verdict.problems)})
        if kind is Kind.DENIED:
            return Fail(f"{reason}. Give the token's owner a role that allows it.")
        return Fail(reason)

    def _close(self, why: str, seconds: float) -> Wait:
        """Send nothing for a while: what is wrong is wrong with everything. Said once, not for every task."""
        if self._clock() >= self._closed[0]:
            logger.error("OpenProject: {}", why)
        self._closed = (self._clock() + seconds, why)
        return Wait(why, seconds)


def filters(name: str, operator: str, *values: str) -> str:
    """The query parameter `filters` with one condition."""
    return json.dumps([{name: {"operator": operator, "values": values}}])


def _decode(answer: httpx.Response) -> Any:
    """The JSON, or the text if it is none."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return answer.content.decode("utf-8", "replace")


def _retry_after(answer: httpx.Response) -> float:
    given = answer.headers.get("Retry-After", "")
    return min(float(given), LONGEST_DELAY) if given.isascii() and given.isdigit() else BUSY_DELAY
