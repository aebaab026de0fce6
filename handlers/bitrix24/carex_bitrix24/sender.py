"""Sends calls at the pace that the portal allows, and joins those that have to wait for it.

A call goes out alone if it may go at once. Whoever waits when leave comes is joined into one batch, because the
portal counts requests, not what is in them. How many requests are under way at a time grows with every answer and
falls back to one after a refusal, so that neither a full bucket nor a recovering portal is stormed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loguru import logger

from carex_bitrix24 import batches
from carex_bitrix24.answers import Kind, Verdict
from carex_bitrix24.breaker import ALL, Breaker

if TYPE_CHECKING:
    from carex.limiter import Limiter
    from carex_bitrix24.wire import Wire

WIDEST = 32
"""Requests under way at a time."""
LONGEST_LINE = 60.0
"""Seconds that a call may have to wait in line; longer, and it is turned away at once."""
MOST_REFUSALS = 3
"""So often one call may be refused as one too many before its caller is told."""
_BROKEN = (Kind.UNSENT, Kind.OUTAGE, Kind.LIMITED)


@dataclass(eq=False)
class Asked:
    """A call that waits for its turn, and then for its answer. `key` is an Idempotency-Key."""

    method: str
    params: Mapping[str, Any]
    repeatable: bool = False
    rest3: bool = False
    key: str | None = None
    text: str | None = None
    """The call as a batch takes it; None if it goes alone."""
    settle: float | None = None
    sent: bool = False
    refusals: int = 0
    answer: asyncio.Future[Verdict] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def __str__(self) -> str:
        return f"{self.method} {self.params}"


class Sender:
    """`ask` returns what became of a call; it may be called by any number of tasks at a time."""

    def __init__(self, wire: Wire, limiter: Limiter, breaker: Breaker, *, rate: float, joining: bool) -> None:
        self._wire = wire
        self._limiter = limiter
        self._breaker = breaker
        self._rate = rate
        self._joining = joining
        self._waiting: deque[Asked] = deque()
        self._window = 1
        self._silences = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._pump: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Verdict:
        """Raises `Unreachable` if the storage of the limits does not answer."""
        held = self._breaker.holds(asked.method) or self._too_long()
        if held:
            return held
        if self._joining and not (asked.rest3 or asked.key):
            asked.text = asked.text or batches.command(asked.method, asked.params)
        self._waiting.append(asked)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._send_all())
        try:
            return await asked.answer
        except asyncio.CancelledError:
            if asked in self._waiting:
                self._waiting.remove(asked)
            raise

    async def close(self) -> None:
        """Give up on what is under way."""
        tasks = [task for task in (self._pump, *self._under_way) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _too_long(self) -> Verdict | None:
        seconds = len(self._waiting) / self._rate / (batches.MOST if self._joining else 1)
        if seconds <= LONGEST_LINE:
            return None
        return Verdict(Kind.HELD, f"the portal's limit: {len(self._waiting)} calls wait already", delay=seconds / 4)

    async def _send_all(self) -> None:
        try:
            await asyncio.sleep(0)  # who asks at the same moment goes together
            while self._waiting:
                while len(self._under_way) >= self._window:
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                await self._send_next()
        except BaseException as error:  # whoever waits has to hear of it
            while self._waiting:
                _fail(self._waiting.popleft(), error)
            if not isinstance(error, Exception):
                raise

    async def _send_next(self) -> None:
        permit = await self._limiter.reserve()
        self._breaker.hear(permit.closed)
        if permit.delay and ALL not in permit.closed:
            await asyncio.sleep(permit.delay)
        for asked in [each for each in self._waiting if self._breaker.holds(each.method)]:
            self._waiting.remove(asked)
            self._settle(asked, self._breaker.holds(asked.method) or Verdict(Kind.HELD))
        group = self._take(permit.probe) if ALL not in permit.closed else []
        if group:
            task = asyncio.create_task(self._send(group, permit.probe))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _take(self, probe: bool) -> list[Asked]:
        """The next calls to go together. The first after an outage goes alone, and is one that may be repeated."""
        if not self._waiting:
            return []
        first = next((each for each in self._waiting if each.repeatable or each.key), self._waiting[0])
        first = first if probe else self._waiting[0]
        self._waiting.remove(first)
        if probe or first.text is None or self._breaker.holds("batch"):
            return [first]
        others = [each for each in self._waiting if each.text is not None][: batches.MOST - 1]
        for each in others:
            self._waiting.remove(each)
        return [first, *others]

    async def _send(self, group: Sequence[Asked], probe: bool) -> None:
        try:
            for asked in group:
                asked.sent = True
            verdicts = await self._exchange(group, probe)
            for asked, verdict in reversed(list(zip(group, verdicts, strict=True))):  # what goes back keeps its order
                self._settle(asked, verdict)
        except BaseException as error:
            for asked in group:
                _fail(asked, error)
            if not isinstance(error, Exception):
                raise

    async def _exchange(self, group: Sequence[Asked], probe: bool) -> list[Verdict]:
        if len(group) == 1:
            asked = group[0]
            answer = await self._wire.ask(asked.method, asked.params, rest3=asked.rest3, key=asked.key)
            return [await self._note(asked.method, answer, probe, group)]
        names = [f"c{number}" for number in range(len(group))]
        texts = {name: asked.text for name, asked in zip(names, group, strict=True)}
        answer = await self._wire.ask("batch", {"halt": 0, "cmd": texts})
        answer = await self._note("batch", answer, probe, group, within=True)
        if answer.kind in (Kind.INVALID, Kind.DENIED, Kind.MISSING, Kind.PARKED) or _is_no_batch(answer):
            if answer.kind is not Kind.PARKED:
                self._joining = False
                logger.warning("Bitrix24: calls go one by one from now on: {}", answer.reason)
            return [Verdict(Kind.INVALID, answer.reason, alone=True)] * len(group)
        verdicts = batches.split(answer, names)
        if answer.kind is Kind.DONE:
            heard = {asked.method: number for number, asked in enumerate(group)}
            alive = any(verdict.kind is Kind.DONE for verdict in verdicts)
            for number, asked in enumerate(group):
                if verdicts[number].kind is not Kind.DONE or heard[asked.method] == number:
                    crashed = _crashed(verdicts[number], () if alive else [asked])
                    verdict = self._sealed(verdicts[number])
                    verdicts[number] = await self._breaker.learn(asked.method, verdict, crashed=crashed)
        return verdicts

    def _sealed(self, verdict: Verdict) -> Verdict:
        return verdict if verdict.kind is Kind.DONE else self._wire.sealed(verdict)

    async def _note(
        self, method: str, answer: Verdict, probe: bool, group: Sequence[Asked], within: bool = False
    ) -> Verdict:
        """Widen or narrow what may be under way."""
        answer = await self._breaker.learn(method, answer, probe, _crashed(answer, group), within)
        self._window = 1 if answer.kind in _BROKEN else min(self._window + 1, WIDEST)
        self._silences = self._silences + 1 if answer.kind in (Kind.UNSENT, Kind.OUTAGE) else 0
        if self._silences > 1:  # not one after the other, each to find out the same
            while self._waiting:
                delay = self._breaker.turn(answer.delay)
                self._settle(self._waiting.popleft(), Verdict(Kind.HELD, answer.reason, delay=delay))
        return answer

    def _settle(self, asked: Asked, verdict: Verdict) -> None:
        """Hand over the answer; what was surely not carried out and may go at once is put in front again."""
        again = verdict.kind is Kind.LIMITED and asked.refusals < MOST_REFUSALS
        if verdict.alone and asked.text is not None:
            asked.text, again = None, True
        if again and not asked.answer.done():
            asked.sent = False
            asked.refusals += verdict.kind is Kind.LIMITED
            self._waiting.appendleft(asked)
            if self._pump is None or self._pump.done():
                self._pump = asyncio.create_task(self._send_all())
        elif not asked.answer.done():
            asked.answer.set_result(verdict)


def _is_no_batch(answer: Verdict) -> bool:
    return answer.kind is Kind.MISCONFIGURED and not answer.whole


def _crashed(verdict: Verdict, group: Sequence[Asked]) -> list[str]:
    return [str(asked) for asked in group] if verdict.kind is Kind.CRASHED else []


def _fail(asked: Asked, error: BaseException) -> None:
    if asked.answer.done():
        return
    if isinstance(error, Exception):
        asked.answer.set_exception(error)
    else:
        asked.answer.cancel()
