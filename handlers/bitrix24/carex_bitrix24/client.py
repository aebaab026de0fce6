"""The portal: one method, `call`, through which everything goes that Carex asks of Bitrix24."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport
from loguru import logger

import carex
from carex import BpmnError, Fail, Retry, Wait
from carex_bitrix24.answers import Kind, Verdict, classify, plain
from carex_bitrix24.settings import Settings
from carex_bitrix24.transport import BROKEN, MASK, Sealed, never_sent

UNCONFIGURED_DELAY = 30.0
MISCONFIGURED_DELAY = 10.0
BLOCKED_DELAY = 300.0
PARKED_DELAY = 60.0
LONGEST_PARK = 600.0
LONGEST_OUTAGE_DELAY = 10.0
LONGEST_TEXT = 500
PATIENCE = 5.0
"""Seconds without any answer after which calls are held back instead of sent."""

_UNKNOWN = (Kind.OUTAGE, Kind.CRASHED)


@dataclass(frozen=True)
class Trouble:
    """Why calls are held back, and until when (Unix seconds). Logged when its `state` changes, not at every call."""

    reason: str
    state: str
    until: float


class Portal:
    """A Bitrix24 portal behind an inbound webhook. Whatever it raises or logs, the webhook's secret is not in it."""

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.errors = 0
        self._clock = clock
        self._timeout = settings.timeout
        self._silent_since: float | None = None
        self._resets_at: dict[str, float] = {}
        self._troubles: dict[str, Trouble] = {}
        """By method; under * for the whole portal."""
        self._configured = settings.webhook is not None
        if not self._configured:
            logger.warning("WEBHOOK_CAREX is not set: what needs the portal will wait.")
        webhook = settings.webhook.get_secret_value() if settings.webhook else ""
        rest, _, self._secret = webhook.rstrip("/").rpartition("/")
        self._base = f"{rest}/{MASK}/"
        self._http = httpx.AsyncClient(
            transport=Sealed(transport or AiohttpTransport(), self._secret),
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            headers={"Accept": "application/json", "User-Agent": f"carex/{carex.__version__}"},
            follow_redirects=False,
        )

    def __repr__(self) -> str:
        return f"<Portal {self._base if self._configured else 'not configured'}>"

    async def __aenter__(self) -> Portal:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def call(self, method: str, params: Mapping[str, Any], *, repeatable: bool = False) -> Any:
        """Call a method and return the content of `result`.

        Raises Wait for limits, outages and settings that a person has to mend, Retry if Bitrix24 failed inside,
        BpmnError("NOT_FOUND") for a missing item and Fail for anything it refuses. When nobody can know whether the
        portal did it, a `repeatable` call is tried again; any other fails, so that nothing is done twice.
        """
        if not self._configured:
            raise Wait("WEBHOOK_CAREX is not set", UNCONFIGURED_DELAY)
        self._hold(method)
        verdict = self._sealed(await self._ask(method, params))
        if verdict.kind is Kind.DONE:
            self._note_answer(method)
            if verdict.resets_at is not None:
                self._resets_at[method] = verdict.resets_at
            return verdict.result
        self.errors += 1
        raise self._outcome(method, verdict, repeatable)

    def drain_counters(self) -> dict[str, float]:
        """Refused and failed calls since this was last asked."""
        errors, self.errors = self.errors, 0
        return {"bitrix_errors": float(errors)}

    async def _ask(self, method: str, params: Mapping[str, Any]) -> Verdict:
        """Send the call; if the portal has moved, once more to the new address."""
        answer = await self._post(self._base, method, params)
        moved = _moved_to(answer, self._base) if isinstance(answer, httpx.Response) else None
        if moved:
            answer = await self._post(moved, method, params)
        if isinstance(answer, Verdict):
            return answer
        body = _decode(answer)
        if moved and isinstance(body, dict) and self._base != moved:
            self._base = moved
            logger.error("The portal has moved to {}: put that address into WEBHOOK_CAREX.", _origin(moved))
        return classify(answer.status_code, body)

    async def _post(self, base: str, method: str, params: Mapping[str, Any]) -> httpx.Response | Verdict:
        try:
            return await self._http.post(f"{base}{method}", json=params)
        except httpx.ReadTimeout:
            return Verdict(Kind.OUTAGE, f"no answer within {self._timeout:g} s")
        except BROKEN as error:
            said = plain(str(error)) or type(error.__cause__ or error).__name__
            if never_sent(error):
                return Verdict(Kind.UNSENT, f"no connection to {_origin(base)} ({said})")
            return Verdict(Kind.OUTAGE, f"the connection broke ({said})")

    def _sealed(self, verdict: Verdict) -> Verdict:
        """The portal's words may repeat the address. Shortened only afterwards, lest half a secret is left over."""
        return replace(verdict, reason=verdict.reason.replace(self._secret, MASK)[:LONGEST_TEXT])

    def _outcome(self, method: str, verdict: Verdict, repeatable: bool) -> Wait | Retry | Fail | BpmnError:
        kind = verdict.kind
        reason = f"{method}: {verdict.reason}"
        delay = self._note(method, kind, reason)
        if kind in _UNKNOWN and not repeatable:
            return Fail(f"{reason}. Nobody can know whether the portal did it: look there before you retry.")
        if kind is Kind.CRASHED:
            return Retry(reason)
        if kind is Kind.MISSING:
            return BpmnError("NOT_FOUND", reason)
        if kind is Kind.DENIED:
            return Fail(f"{reason}. Give the webhook's owner the right to do this in the portal's access permissions.")
        if kind is Kind.INVALID:
            return Fail(reason)
        return Wait(reason, delay)

    def _note(self, method: str, kind: Kind, reason: str) -> float:
        """Learn from what went wrong; return how long to wait, spread so that tasks do not come back all at once."""
        if kind in (Kind.UNSENT, Kind.OUTAGE):
            return self._note_silence(reason)
        self._silent_since = None
        if kind is Kind.LIMITED:
            return _between(1.0, 3.0)
        if kind is Kind.PARKED:
            left = self._resets_at.get(method, 0.0) - self._clock()
            return self._trouble(method, reason, min(left, LONGEST_PARK) if left > 0 else PARKED_DELAY)
        if kind is Kind.BLOCKED:
            return self._trouble("*", reason, BLOCKED_DELAY)
        if kind is Kind.MISCONFIGURED:
            return self._trouble(method, reason, MISCONFIGURED_DELAY)
        if kind is not Kind.CRASHED:
            self._note_answer(method)
        return 0.0

    def _note_silence(self, reason: str) -> float:
        """The longer nothing comes, the less often to ask: 2 to 5 s at first, up to 30."""
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
        silence = now - self._silent_since
        longest = min(LONGEST_OUTAGE_DELAY, 5.0 + silence / 4)
        delay = _between(0.4 * longest, longest)
        if silence >= PATIENCE:
            since = time.strftime("%H:%M:%S", time.localtime(self._silent_since))
            self._trouble("*", f"the portal has not answered since {since}: {reason}", delay, state="silent")
        return delay

    def _trouble(self, key: str, reason: str, delay: float, state: str = "") -> float:
        trouble = Trouble(reason, state or reason, self._clock() + delay)
        if key not in self._troubles or self._troubles[key].state != trouble.state:
            logger.error("Bitrix24: {}", reason)
        self._troubles[key] = trouble
        return delay * _between(1.0, 1.1)

    def _hold(self, method: str) -> None:
        """Do not send what is known to be refused."""
        for key in ("*", method):
            trouble = self._troubles.get(key)
            left = trouble.until - self._clock() if trouble else 0.0
            if trouble and left > 0:
                raise Wait(trouble.reason, left + _between(0.0, 3.0))

    def _note_answer(self, method: str) -> None:
        self._silent_since = None
        for key in ("*", method):
            if self._troubles.pop(key, None):
                logger.info("Bitrix24: {} works again.", "the portal" if key == "*" else key)


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


def _between(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, guards nothing
