"""The portal: `call`, `batch` and `list`, through which everything goes that Carex asks of Bitrix24."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from loguru import logger

from carex import BpmnError, Fail, Retry, Share, Wait
from carex_bitrix24 import batches
from carex_bitrix24.answers import Kind, Verdict, named
from carex_bitrix24.breaker import Breaker
from carex_bitrix24.sender import Asked, Sender
from carex_bitrix24.settings import Settings
from carex_bitrix24.wire import Wire

if TYPE_CHECKING:
    import httpx

UNCONFIGURED_DELAY = 30.0
PAGE = 50
MOST_SEEN = 10_000
T = TypeVar("T")
KEY_SETTLE = 10.0
"""Seconds that a repetition with the same Idempotency-Key keeps away from a call that may still be under way."""

_UNKNOWN = (Kind.OUTAGE, Kind.CRASHED)


class Portal:
    """A Bitrix24 portal behind an inbound webhook. Whatever it raises or logs, the webhook's secret is not in it.

    Calls wait here until the portal's limits let them through, and those that wait are joined into batches. The limits
    are kept together with everybody who has the same `share`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        share: Share | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.errors = 0
        self.misconfigured = settings.webhook is None
        """Whether the latest answer says that a person has to change a setting."""
        self._seen: dict[str, Any] = {}
        self._configured = settings.webhook is not None
        if not self._configured:
            logger.warning("WEBHOOK_CAREX is not set: what needs the portal will wait.")
        self._wire = Wire(settings, transport)
        rate = settings.requests_per_second
        self.limits = f"calls keep to {rate:g} requests a second, and {settings.burst:g} at once after a pause"
        name = f"bitrix24:{urlsplit(self._wire.base).netloc.lower()}"
        limiter = (share or Share(clock=clock)).limiter(name, rate=rate, burst=settings.burst)
        breaker = Breaker(limiter, clock)
        self._sender = Sender(self._wire, limiter, breaker, rate=rate, joining=settings.join)

    def __repr__(self) -> str:
        return f"<Portal {self._wire.base if self._configured else 'not configured'}>"

    @property
    def address(self) -> str:
        """Where it is, without the secret."""
        return self._wire.base

    @property
    def user_id(self) -> int:
        """Whose webhook it is."""
        return self._wire.user_id

    @property
    def ahead(self) -> float:
        """How many seconds the portal's clock was ahead of ours at the latest answer."""
        return self._wire.ahead

    def first_seen(self, what: str, value: T) -> T:
        """What was seen the first time in this process; only so much is remembered."""
        if len(self._seen) >= MOST_SEEN and what not in self._seen:
            del self._seen[next(iter(self._seen))]
        seen: T = self._seen.setdefault(what, value)
        return seen

    def has_seen(self, what: str) -> bool:
        return what in self._seen

    async def __aenter__(self) -> Portal:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.close()
        await self._wire.close()

    async def call(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        repeatable: bool = False,
        rest3: bool = False,
        key: str | None = None,
        settle: float | None = None,
    ) -> Any:
        """Call a method and return the content of `result`.

        Raises Wait for limits, outages and settings that a person has to mend, Retry if Bitrix24 failed inside,
        BpmnError("NOT_FOUND") for a missing item and Fail for anything it refuses. When nobody can know whether the
        portal did it, a `repeatable` call is tried again; any other fails, so that nothing is done twice. With `settle`
        it is a Wait of so many seconds, or a Retry: its handler has to look first whether the portal did it.

        `rest3` calls the newer REST 3. With `key`, an Idempotency-Key of REST 3, a call is repeatable.
        """
        asked = Asked(method, params, repeatable or key is not None, rest3 or key is not None, key, settle=settle)
        return (await self._ask(asked)).result

    async def batch(
        self, calls: Mapping[str, tuple[str, Mapping[str, Any]]], *, halt: bool = False, repeatable: bool = False
    ) -> dict[str, Any]:
        """Send up to 50 named calls as one request; return their results by name.

        A call may use the result of an earlier one: `$result[name][field]`. One that failed has as its result what
        `call` would have raised. With `halt` the first failure ends the batch, and what comes after it is missing
        among the results. Raises what `call` raises if the whole request failed.
        """
        if len(calls) > batches.MOST:
            raise ValueError(f"a batch takes up to {batches.MOST} calls, not {len(calls)}")
        if any(name.isdigit() for name in calls):
            raise ValueError("calls need names, not numbers, of which the portal would make a list")
        texts = {name: _text(method, params) for name, (method, params) in calls.items()}
        asked = Asked("batch", {"halt": int(halt), "cmd": texts}, repeatable)
        answer = await self._ask(asked)
        found: dict[str, Any] = {}
        failed = False
        for (name, (method, _)), verdict in zip(calls.items(), batches.split(answer, list(texts)), strict=True):
            if halt and failed:
                break
            if verdict.kind is Kind.DONE:
                found[name] = verdict.result
            else:
                failed = True
                self.errors += 1
                found[name] = _outcome(Asked(method, {}, repeatable), self._wire.sealed(verdict))
        return found

    async def list(
        self, method: str, params: Mapping[str, Any], *, within: str | None = None, by: str | None = None
    ) -> AsyncIterator[Any]:
        """All rows of a list method, page after page. `within` is the field of the result that holds them.

        With `by`, the name of the id, pages are told apart by the last id instead of counting, which the portal does
        a hundred times faster in long lists, and no row is lost when others change; `order` is then by this id.
        """
        start: int | None = 0
        last: int = 0
        while start is not None:
            asked = dict(params)
            if by:
                asked["filter"] = {**_mapping(params, "filter"), f">{by}": last}
                asked["order"] = {by: "ASC"}
                asked["start"] = -1
            elif start:
                asked["start"] = start
            answer = await self._ask(Asked(method, asked, repeatable=True))
            rows = _rows(method, answer.result, within)
            for row in rows:
                yield row
            start = answer.next if rows else None  # some methods announce a page after the last
            if by:
                start = 0 if len(rows) >= PAGE else None
                ids = [_id(row, by, method) for row in rows]
                if ids and max(ids) <= last:
                    raise Fail(f"{method}: the portal gives the same page again; it cannot be read by {by}")
                last = max(ids, default=last)

    async def count(self, method: str, params: Mapping[str, Any]) -> int:
        """How many rows a list method has in all."""
        total = (await self._ask(Asked(method, params, repeatable=True))).total
        if total is None:
            raise Fail(f"{method}: the portal's answer has no total")
        return total

    def drain_counters(self) -> dict[str, float]:
        """Refused and failed calls since this was last asked."""
        errors, self.errors = self.errors, 0
        return {"bitrix_errors": float(errors)}

    async def _ask(self, asked: Asked) -> Verdict:
        if not self._configured:
            raise Wait("WEBHOOK_CAREX is not set", UNCONFIGURED_DELAY)
        try:
            verdict = await self._sender.ask(asked)
        except asyncio.CancelledError:
            if asked.sent and not asked.repeatable:  # given back as if nothing had happened, it would be done twice
                raise _outcome(asked, Verdict(Kind.OUTAGE, "given up before the answer came")) from None
            raise
        self.misconfigured = verdict.kind is Kind.MISCONFIGURED
        if verdict.kind is Kind.DONE:
            return verdict
        self.errors += verdict.kind is not Kind.HELD
        raise _outcome(asked, verdict)


def _outcome(asked: Asked, verdict: Verdict) -> Wait | Retry | Fail | BpmnError:
    kind = verdict.kind
    if kind is Kind.HELD:
        return Wait(verdict.reason, verdict.delay)
    reason = f"{asked.method}: {named(verdict.reason, asked.method)}"
    if kind in _UNKNOWN and not asked.repeatable:
        if asked.settle is not None:
            return Wait(reason, asked.settle) if kind is Kind.OUTAGE else Retry(reason, asked.settle)
        return Fail(f"{reason}. Nobody can know whether the portal did it: look there before you retry.")
    if kind is Kind.CRASHED:
        return Retry(reason)
    if kind is Kind.MISSING:
        return BpmnError("NOT_FOUND", reason)
    if kind is Kind.DENIED:
        return Fail(f"{reason}. Give the webhook's owner the right to do this in the portal's access permissions.")
    if kind is Kind.INVALID:
        return Fail(reason)
    # The portal runs two calls of one key if the second overtakes the first.
    return Wait(reason, max(verdict.delay, KEY_SETTLE) if asked.key and kind is Kind.OUTAGE else verdict.delay)


def _text(method: str, params: Mapping[str, Any]) -> str:
    text = batches.command(method, params, references=True)
    if text is None:
        raise ValueError(f"{method}: a batch takes text and numbers only, no null, true, false or empty list")
    return text


def _rows(method: str, result: Any, within: str | None) -> list[Any]:
    rows = result.get(within) if within and isinstance(result, Mapping) else result
    if isinstance(rows, Mapping):  # a list that PHP has numbered from something else than 0
        rows = list(rows.values())
    if not isinstance(rows, list):
        raise Fail(f"{method}: expected a list{f' under {within}' if within else ''}, got {type(rows).__name__}")
    return rows


def _mapping(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = params.get(name)
    return found if isinstance(found, Mapping) else {}


def _id(row: Any, by: str, method: str) -> int:
    """Some methods sort by `ID` and return `id`."""
    values = {str(name).lower(): value for name, value in row.items()} if isinstance(row, Mapping) else {}
    try:
        return int(values[by.lower()])
    except (KeyError, TypeError, ValueError):
        raise Fail(f"{method}: a row has no {by}; select it, or read the list without `by`") from None
