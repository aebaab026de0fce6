"""What is not to be sent for a while: after an outage, a wrong setting, a limit that a method has used up.

What one process finds out is told to all others through the limiter, and after an outage one call goes first, alone.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loguru import logger

from carex_bitrix24.answers import Kind, Verdict, named

if TYPE_CHECKING:
    from carex.limiter import Closure, Limiter

ALL = "*"
MISCONFIGURED_DELAY = 10.0
BLOCKED_DELAY = 300.0
PARKED_DELAY = 60.0
LONGEST_PARK = 600.0
LONGEST_OUTAGE_DELAY = 10.0
PATIENCE = 5.0
"""Seconds without any answer after which calls are held back instead of sent."""
RETURNS = 50.0
"""So many a second of those turned away come again, for as long as that takes no more than `LONGEST_ROUND`."""
LONGEST_ROUND = 30.0
MOST_CRASHES = 5
"""So many different calls that fail inside Bitrix24 one after the other, and no other answer, are an outage."""
CRASHES_WITHIN = 10.0


@dataclass(frozen=True)
class Trouble:
    """Why calls are held back, and until when (Unix seconds). Logged when its `state` changes, not at every call."""

    reason: str
    state: str
    until: float


class Breaker:
    """Holds calls back by method, or all of them."""

    def __init__(self, limiter: Limiter, clock: Callable[[], float]) -> None:
        self._limiter = limiter
        self._clock = clock
        self._silent_since: float | None = None
        self._resets_at: dict[str, float] = {}
        self._troubles: dict[str, Trouble] = {}
        self._last_return = 0.0
        self._crashes: dict[str, float] = {}  # calls that failed inside, and when

    def holds(self, method: str) -> Verdict | None:
        """Why a call is not to be sent now."""
        for key in (ALL, method):
            trouble = self._troubles.get(key)
            left = trouble.until - self._clock() if trouble else 0.0
            if trouble and left > 0:
                return Verdict(Kind.HELD, trouble.reason, delay=self.turn(left))
        return None

    def turn(self, delay: float) -> float:
        """After how many seconds one of those turned away is to come again, `delay` seconds being the least.

        They form a line, so that a few are back soon and thousands do not come every few seconds to no end.
        """
        now = self._clock()
        turn = self._last_return + between(0.5, 1.5) / RETURNS
        self._last_return = (
            turn if 0 <= turn - now - delay <= LONGEST_ROUND else now + delay + between(0.0, 1.0 / RETURNS)
        )
        return math.ceil(self._last_return) - now  # on the full second, so that one claim takes many

    def hear(self, closed: Mapping[str, Closure]) -> None:
        """Take over what other processes have found out."""
        now = self._clock()
        for key, closure in closed.items():
            known = self._troubles.get(key)
            if known is None or known.until < now + closure.left:
                state = known.state if known else closure.reason
                self._troubles[key] = Trouble(closure.reason, state, now + closure.left)

    async def learn(
        self, method: str, verdict: Verdict, probe: bool = False, crashed: Collection[str] = (), within: bool = False
    ) -> Verdict:
        """Draw conclusions; return the verdict with the time after which to come again.

        Times are spread, so that tasks do not come back all at once. `crashed` are the calls that failed, if this is
        a failure inside Bitrix24; where everything does, it becomes an outage. `within` says that the answer carries
        others, which follow.
        """
        verdict = replace(verdict, reason=named(verdict.reason, method))
        if verdict.kind is Kind.CRASHED and self._all_crash(crashed, probe):
            verdict = replace(verdict, kind=Kind.OUTAGE)
        if verdict.kind in (Kind.UNSENT, Kind.OUTAGE):
            return replace(verdict, delay=await self._note_silence(f"{method}: {verdict.reason}"))
        if within and verdict.kind is Kind.DONE:
            self._resets_at[method] = verdict.resets_at or self._resets_at.get(method, 0.0)
            return verdict
        self._silent_since = None
        if verdict.kind not in (Kind.CRASHED, Kind.LIMITED):
            self._crashes.clear()
        if verdict.resets_at is not None:
            self._resets_at[method] = verdict.resets_at
        if verdict.kind in (Kind.BLOCKED, Kind.MISCONFIGURED, Kind.PARKED):
            key, delay = self._closure(method, verdict)
            if key != ALL:
                await self._works_again(ALL, probe)
            return replace(verdict, delay=await self._close(key, f"{method}: {verdict.reason}", delay))
        await self._works_again(ALL, probe)
        if verdict.kind is Kind.LIMITED:
            await _told(self._limiter.refused())
            return replace(verdict, delay=between(1.0, 3.0))
        if verdict.kind is not Kind.CRASHED:
            await self._works_again(method, False)
        return verdict

    def _all_crash(self, calls: Collection[str], probe: bool) -> bool:
        now = self._clock()
        if len(self._crashes) < MOST_CRASHES:
            self._crashes = {call: at for call, at in self._crashes.items() if now - at < CRASHES_WITHIN}
            self._crashes.update((call, now) for call in calls)
        return probe or len(self._crashes) >= MOST_CRASHES

    def _closure(self, method: str, verdict: Verdict) -> tuple[str, float]:
        if verdict.kind is Kind.PARKED:
            left = self._resets_at.get(method, 0.0) - self._clock()
            return method, min(left, LONGEST_PARK) if left > 0 else PARKED_DELAY
        if verdict.kind is Kind.BLOCKED:
            return ALL, BLOCKED_DELAY
        return (ALL if verdict.whole else method), MISCONFIGURED_DELAY

    async def _note_silence(self, reason: str) -> float:
        """The longer nothing comes, the less often to ask: after about a second at first, after 10 at last."""
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
        silence = now - self._silent_since
        longest = min(LONGEST_OUTAGE_DELAY, 1.5 + silence)
        delay = between(0.4 * longest, longest)
        if silence >= PATIENCE:
            since = time.strftime("%H:%M:%S", time.localtime(self._silent_since))
            said = "failed inside at every call" if len(self._crashes) >= MOST_CRASHES else "not answered"
            await self._close(ALL, f"the portal has {said} since {since}: {reason}", delay, state="silent")
        return delay

    async def _close(self, key: str, reason: str, delay: float, state: str = "") -> float:
        trouble = Trouble(reason, state or reason, self._clock() + delay)
        if key not in self._troubles or self._troubles[key].state != trouble.state:
            logger.error("Bitrix24: {}", reason)
        self._troubles[key] = trouble
        await _told(self._limiter.close(key, reason, delay))
        return delay * between(1.0, 1.1)

    async def _works_again(self, key: str, probe: bool) -> None:
        if self._troubles.pop(key, None) or probe:
            await _told(self._limiter.open(key))
            logger.info("Bitrix24: {} works again.", "the portal" if key == ALL else key)


async def _told(telling: Awaitable[object]) -> None:
    """Storage that does not answer must not spoil a call that the portal has answered."""
    try:
        await telling
    except Exception as error:  # noqa: BLE001 - whatever kind of storage it is
        logger.warning("Bitrix24: the other processes do not hear of it: {}", error)


def between(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, guards nothing
