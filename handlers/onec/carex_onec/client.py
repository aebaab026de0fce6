"""An infobase over HTTP: `get`, `pages`, `post`, `patch` for OData, `call` for its services. This file brings the
network libraries."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import httpx
from loguru import logger

import carex
from carex import BpmnError, Fail, Retry, Wait
from carex_onec.answers import (
    Kind,
    Verdict,
    classify,
    decoded,
    may_be_dead,
    of_the_web_server,
    plain,
    refused_alike,
    says_more,
    title_of,
)
from carex_onec.sessions import Busy, Session, Sessions
from carex_onec.settings import Settings
from carex_onec.transport import BROKEN, never_sent, open_transport
from carex_onec.values import query_of

OUTAGE_DELAY = 5.0
LOCKED_DELAY = 30.0
BUSY_DELAY = 5.0
FINISH_TIMEOUT = 5.0
UNNAMED_LIFE = 20.0
"""How long a session may live of which Carex knows no cookie: 1C's own default for one without work."""
DOUBTED_LIFE = 300.0
"""How long a session counts as open although nobody answers whether it is."""
MEND_DELAY = 60.0
SHUT_DELAY = 60.0
LONGEST_DELAY = 300.0
LONGEST_TEXT = 700
PAGE = 500

_ODATA = "odata/standard.odata/"
_COOKIE = re.compile(r"ibsession=([^;\s]+)", re.IGNORECASE)
_HINTS = {
    Kind.UNPUBLISHED: "Check the name, and that the publication has it: УстановитьСоставСтандартногоИнтерфейсаOData",
    Kind.DENIED: "Give the user of plugins.onec the right, or ask with allowed_only for what they may see",
}


class Conflict(Retry):
    """Somebody else changed it since it was read; whoever does not read it again tries again later."""


class Exists(Retry):
    """There is an object with this key already; whoever does not read it tries again later."""


@dataclass(frozen=True)
class Answer:
    """What 1C said: the JSON, or the text if it is none."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Infobase:
    """An infobase behind a user's name and password. Whatever it raises or logs, the password is not in it.

    All of its methods raise Wait for outages, for the want of licences, for locks and for settings that a person has to
    mend; Retry for an exception in 1C's code; BpmnError("NOT_FOUND") and BpmnError("INVALID"); Conflict and Exists; and
    Fail for anything else. No more requests run at a time than there may be sessions.
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
        self.sessions = Sessions(settings.sessions, settings.session_idle, self._finish)
        self._password = settings.password.get_secret_value() if settings.password else ""
        self._clock = clock
        self._closed = (0.0, "")
        """Until when nothing is sent, and why."""
        # In so many words: the encoding of these letters is left to clients, and 1C takes UTF-8.
        self._basic = base64.b64encode(f"{settings.user}:{self._password}".encode()).decode()
        self._http = httpx.AsyncClient(
            transport=transport or open_transport(),
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            headers={"Authorization": f"Basic {self._basic}", "User-Agent": f"carex/{carex.__version__}"},
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return f"<Infobase {self.url or 'not configured'}>"

    async def __aenter__(self) -> Infobase:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sessions.close()
        await self._http.aclose()

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Read `path`, which is relative to the root of OData and encoded already."""
        return await self._odata("GET", path, query=query)

    async def pages(self, entity: str, limit: int, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Up to `limit` objects, page after page. 1C gives no link to the next one; without an order, pages overlap."""
        there = 0
        while there < limit:
            size = min(PAGE, limit - there)
            answer = await self.get(entity, **{**query, "$top": size, "$skip": there or None})
            rows = answer.get("value") or []
            for row in rows:
                yield row
            there += len(rows)
            if len(rows) < size:
                return

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in a set: sent once. Whoever calls this again looks first, whatever it has raised."""
        return await self._odata("POST", path, body=body, blindly=False)

    async def run(self, path: str, **query: Any) -> dict[str, Any]:
        """Run a method of an object that may be run twice, such as Post."""
        return await self._odata("POST", path, query=query)

    async def patch(self, path: str, body: Mapping[str, Any], version: str | None = None) -> dict[str, Any]:
        """Set these attributes only. With a `version` that is not the object's any more: Conflict.

        Not every publication heeds the version.
        """
        return await self._odata("PATCH", path, body=body, headers={"If-Match": version} if version else {})

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool,
    ) -> Answer:
        """Call an HTTP service; `path` is below hs/. Gives back whatever the service itself says, refusals too.

        When nobody can know whether it was carried out: Wait if it is `repeatable`, or else Fail.
        """
        asked = f"?{query_of(query)}" if query else ""
        what = f"{method} /hs/{path}"
        url = f"{self.url}/hs/{quote(path)}{asked}"
        answer = await self._exchange(what, method, url, body, dict(headers or {}), repeatable, blindly=repeatable)
        if answer.status < 400 or isinstance(answer.body, (Mapping, list)):
            return answer
        if answer.status in (400, 404, 405, 409, 422):
            raise Fail(f"{what}: {self.sealed(f'status {answer.status}: {plain(title_of(answer.body))}')}")
        raise self._outcome(what, of_the_web_server(answer.status, answer.body), answer, repeatable)

    async def _odata(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        blindly: bool = True,
    ) -> dict[str, Any]:
        asked = f"?{query_of(query)}" if query else ""
        what = f"{method} {unquote(path)}"
        # Without being asked for JSON, 1C answers in Atom.
        wanted = {"Accept": "application/json;odata=nometadata", **(headers or {})}
        url = f"{self.url}/{_ODATA}{quote(path, safe=_SAFE)}{asked}"
        answer = await self._exchange(what, method, url, body, wanted, repeatable=True, blindly=blindly)
        verdict = classify(answer.status, answer.body)
        if verdict.kind is not Kind.DONE:
            raise self._outcome(what, verdict, answer, repeatable=True)
        found = answer.body if isinstance(answer.body, Mapping) else {}
        return {name: value for name, value in found.items() if not name.startswith("odata.")}

    async def _exchange(
        self, what: str, method: str, url: str, body: Any, headers: dict[str, str], repeatable: bool, blindly: bool
    ) -> Answer:
        """One request in a session, and once more if its session was over. What is `repeatable` may be sent again by
        the next attempt, which looks first; `blindly`, at once and without a look.
        """
        if not self.url:
            raise Wait("1C is not set up: plugins.onec needs url", MEND_DELAY)
        until, why = self._closed
        if self._clock() < until:
            raise Wait(why, until - self._clock())
        content = None
        if body is not None:
            content = json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json; charset=utf-8"
        try:
            async with self.sessions.one() as session:
                await self._leave_doubted(what, session)
                reused = session.cookie is not None
                answer = await self._send(session, method, url, content, headers)
                doubtful = reused and may_be_dead(answer.status, answer.body)
                if doubtful and await self._never_let_in(what, session, answer, repeatable, blindly):
                    answer = await self._send(session, method, url, content, headers)
                return answer
        except Busy:
            raise Wait(
                f"all sessions in 1C are at work (plugins.onec.sessions = {self.settings.sessions})", BUSY_DELAY
            ) from None
        except asyncio.CancelledError:
            if not repeatable:
                raise Fail(f"{what}: given up before the answer came. {_LOOK}") from None
            raise
        except BROKEN as error:
            said = f"no answer within {self.settings.timeout:g} s" if isinstance(error, httpx.ReadTimeout) else (
                f"the connection broke ({plain(str(error)) or type(error).__name__})"
            )  # fmt: skip
            if never_sent(error):
                raise Wait(f"{what}: {self.sealed(said)}", OUTAGE_DELAY) from None
            raise self._outcome(what, Verdict(Kind.OUTAGE, said), None, repeatable) from None

    async def _send(
        self, session: Session, method: str, url: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        if session.cookie is None and method != "GET" and self.settings.ping:
            # Not with the write itself: if it were refused, nobody could tell which of the two was.
            await self._request(session, "GET", f"{self.url}/hs/{quote(self.settings.ping)}", None, {})
        return await self._request(session, method, url, content, headers)

    async def _request(
        self, session: Session, method: str, url: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        sent = dict(headers)
        if session.cookie is not None:
            sent["Cookie"] = f"ibsession={session.cookie}"
        elif method == "GET":
            sent["IBSession"] = "start"
        try:
            answer = await self._http.request(method, url, content=content, headers=sent)
        except BaseException as error:
            if not never_sent(error):
                session.doubted_until = self._clock() + (DOUBTED_LIFE if session.cookie else UNNAMED_LIFE)
            raise
        # Kept by hand: each session has a cookie of its own, and a proxy may have left the cookie a path that is wrong.
        self._http.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            found = _COOKIE.match(line)
            if found and method == "GET":
                session.cookie = found[1]
        return _read(answer)

    async def _never_let_in(self, what: str, session: Session, answer: Answer, repeatable: bool, blindly: bool) -> bool:
        """Whether to send again what was answered like this, because its session was over. It is afterwards.

        No source has the words for a session that is over, and a service's programmer may write what they like. But
        1C does as it is asked in a session that lives, and refuses everything alike in one that does not.
        """
        said = await self._finish(session)
        if said is not None and says_more(said.status, said.body):
            return False  # it was alive: these are the service's words, or the web server's
        alike = said is not None and refused_alike(answer.status, answer.body, said.status, said.body)
        if session.cookie is None and (blindly or alike):
            return True
        unsure = f"status {answer.status}: {plain(title_of(answer.body))} (perhaps the session was over)"
        raise self._outcome(what, Verdict(Kind.OUTAGE, unsure), None, repeatable)

    async def _leave_doubted(self, what: str, session: Session) -> None:
        """Raise Wait while 1C may be at a request whose answer did not come: another session would be one too many."""
        if not session.doubted_until:
            return
        if session.cookie is not None:
            await self._finish(session)
        left = session.doubted_until - self._clock()
        if left > 0:
            raise Wait(f"{what}: 1C may still be at a request that it has not answered", min(left, BUSY_DELAY))
        session.forget()

    async def _finish(self, session: Session) -> Answer | None:
        """Tell 1C to end the session; what it said. The cookie stays if the session may live on."""
        headers = {"Cookie": f"ibsession={session.cookie}", "IBSession": "finish"}
        url = f"{self.url}/hs/{quote(self.settings.ping)}" if self.settings.ping else f"{self.url}/{_ODATA}"
        try:
            said = _read(await self._http.get(url, headers=headers, timeout=FINISH_TIMEOUT))
        except BROKEN as error:
            logger.debug("1C: a session could not be ended, and ends by itself: {}", type(error).__name__)
            said = None
        self._http.cookies.clear()
        if said is not None and (says_more(said.status, said.body) or may_be_dead(said.status, said.body)):
            session.forget()
        elif not session.doubted_until:
            session.doubted_until = self._clock() + DOUBTED_LIFE
        return said

    def _outcome(
        self, what: str, verdict: Verdict, answer: Answer | None, repeatable: bool
    ) -> Wait | Retry | Fail | BpmnError:
        kind, reason = verdict.kind, f"{what}: {self.sealed(verdict.reason)}"
        if kind in (Kind.MISCONFIGURED, Kind.SHUT):
            return self._close(self.sealed(verdict.reason), SHUT_DELAY if kind is Kind.SHUT else MEND_DELAY)
        if kind is Kind.ELSEWHERE:
            return Wait(reason, MEND_DELAY)
        if kind is Kind.LOCKED:
            return Wait(reason, LOCKED_DELAY)
        if kind in (Kind.OUTAGE, Kind.CRASHED) and not repeatable and not (answer and answer.status == 503):
            return Fail(f"{reason}. {_LOOK}")
        if kind is Kind.OUTAGE:
            return Wait(reason, _retry_after(answer) or max(OUTAGE_DELAY, self.settings.settle))
        if kind is Kind.CRASHED:
            return Retry(reason, max(OUTAGE_DELAY, self.settings.settle))
        if kind is Kind.CONFLICT:
            return Conflict(reason)
        if kind is Kind.EXISTS:
            return Exists(reason)
        if kind is Kind.MISSING:
            return BpmnError("NOT_FOUND", reason)
        if kind is Kind.INVALID:
            return BpmnError("INVALID", reason)
        return Fail(f"{reason}. {_HINTS[kind]}" if kind in _HINTS else reason)

    def _close(self, why: str, seconds: float) -> Wait:
        """Send nothing for a while: what is wrong is wrong with everything. Said once, not for every task.

        Passwords tried again and again lock the user out, and so do licences everybody asks for.
        """
        if self._clock() >= self._closed[0]:
            logger.error("1C: {}", why)
        self._closed = (self._clock() + seconds, why)
        return Wait(why, seconds)

    def sealed(self, text: str) -> str:
        """1C's words without the password. Shortened only afterwards, lest half a secret is left over."""
        for secret in filter(None, (self._basic, self._password)):
            text = text.replace(secret, "***")
        return text[:LONGEST_TEXT]


_LOOK = "Nobody knows whether 1C did it: look there; a retry does it again"
_SAFE = "/%()',=:$"


def _read(answer: httpx.Response) -> Answer:
    return Answer(answer.status_code, decoded(answer.content, answer.charset_encoding), answer.headers)


def _retry_after(answer: Answer | None) -> float | None:
    given = answer.headers.get("retry-after", "") if answer is not None else ""
    return min(float(given), LONGEST_DELAY) if given.isascii() and given.isdigit() else None
