"""The worker: claims tasks, has them run, and settles how they ended.

The life of a task that does not go smoothly, told once:

A claim leases it and counts the attempt, so that even an attempt that kills us has been counted. While it runs, the
lease is prolonged here, out of reach of the handler. A `Retry` makes it wait, each time up to twice as long as before
(with full jitter, so that a thousand failures do not come back as one storm), and after the handler's last attempt it
is failed. A `Wait` costs nothing and may go on for days; its reason is shown. If our process dies, another one finds
our lock released and takes its tasks at once, each with one crash on its account; from then on it is kept apart from
those without (see `isolation`). If our process is frozen and comes back, its results carry an old fence and are
refused. If a handler holds its event loop up, new tasks go to another one beside it; if it does so for longer than it
may run, its loop is given up: the culprit has spent an attempt, its neighbours have not. And if the storage does not
answer, finished work is kept here and settled when it does; nothing new is taken.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial

from loguru import logger

from carex.account import Account, Report
from carex.errors import Unreachable
from carex.executor import LONGEST_OPENING, SHORT_OPENING, Executor, Result, say_refused
from carex.isolation import ALONE, Apart, Cell, Isolation
from carex.loops import Loops
from carex.patience import Patience
from carex.people import People
from carex.queue import Answer, Delivery, Source
from carex.registry import Registry
from carex.settings import Settings
from carex.talk import Talk
from carex.task import Crash, Done, Fail, Outcome, Retry, Unfinished, Wait

CLAIM_WAIT = 5.0
WATCH = 0.1
AHEAD = 3.0
"""Slots that a claim fills, in those that become free while it takes place."""
STEADY = 10.0
"""Seconds after which a process is none of those that are killed again and again."""
PRUNE_EVERY = 10.0
PRUNE_ROUNDS = 20
LAST_SETTLE = 10.0
"""Seconds that a stopping worker tries to settle what is finished; what it cannot settle runs again elsewhere."""


class Worker:
    """One process's worker. `stop()` drains it; a second `stop()` gives back at once what still runs."""

    def __init__(
        self,
        settings: Settings,
        queue: Source,
        registry: Registry,
        people: People,
        *,
        apart: Apart | None = None,
        burst: bool = False,
        answer: Callable[[Delivery, Outcome, int], str] | None = None,
        answered: Callable[[list[Answer]], None] = lambda answers: None,
        moved: Callable[[], None] = lambda: None,
        ran: Callable[[Delivery], None] = lambda delivery: None,
    ) -> None:
        """`apart` starts a process for suspects (see `isolation`); without it they run here.

        `answer` says what to tell those who wait for a task's end, given its handler's number of attempts; `answered`
        gets what has been stored and is to be sent; `moved` is called when `room` may have changed, `ran` when a
        handler has ended.
        """
        self._settings = settings
        self._queue = queue
        self._registry = registry
        self._people = people
        globs = settings.worker.types
        self.types = [type for type in registry.handlers if any(fnmatchcase(type, glob) for glob in globs)]
        """The task types that it claims, but for those of plugins that cannot be set up."""
        self._concurrency = settings.worker.concurrency
        self._burst = burst
        self._answer = answer
        self._answered = answered
        self._moved = moved
        self._ran = ran
        self._dry = False  # whether the last claim found less than there was room for
        self._held: dict[str, Delivery] = {}  # leased by us and not settled yet
        self._running = 0
        self._usual = 0.0  # seconds that handlers took lately
        self._claim_time = 0.001  # seconds that claims took lately
        self._finished: list[Result] = []
        self._account = Account()
        backend = "sqlite" if settings.queue.url.startswith("sqlite:") else "redis"
        self._patience = Patience(partial(self._account.count, f"{backend}_errors"))
        self._elsewhere: set[str] = set()  # types that another home has to run
        self._stops = 0
        self._stopping = asyncio.Event()
        self._closing = False
        self._wake = asyncio.Event()
        self._settle_now = asyncio.Event()
        cell = partial(
            Cell,
            apart or _nowhere,
            registry=registry,
            lease=settings.queue.lease,
            extend=queue.extend,
            settle=self._finish,
            told=self._told,
        )
        self._isolation = Isolation(cell, self._concurrency, self._finish)
        self._apart = apart is not None

    @property
    def report(self) -> Report:
        """What it has done so far."""
        return self._account.report

    @property
    def room(self) -> int:
        """How many more tasks it could run now: the free slots for which the queue has nothing."""
        return max(0, self._concurrency - self._running) if self._dry and not self._stops else 0

    def stop(self) -> None:
        self._stops += 1
        self._stopping.set()
        self._isolation.close()
        self._wake.set()

    async def run(self) -> Report:
        """Work until stopped, or with `burst` until nothing is due."""
        self._began = asyncio.get_running_loop().time()
        self._loops = Loops(self._executor, lambda delivery: self._registry.handlers[delivery.task.type].timeout)
        stays = self._apart and not self._burst
        await self._loops.start(SHORT_OPENING if stays else LONGEST_OPENING)
        say_refused(self._loops.refused)
        working = asyncio.create_task(self._work())
        settling = asyncio.create_task(self._settle())
        keeping = asyncio.create_task(self._keep())
        ended, _ = await asyncio.wait({working, settling, keeping}, return_when=asyncio.FIRST_COMPLETED)
        keeping.cancel()
        working.cancel()
        await asyncio.wait({working})  # nothing is claimed any more
        await self._isolation.stop()
        await self._loops.stop()
        for each in ended:
            each.result()  # an error in any of them is the end of the worker, not of its leases: those go back
        self._collect()
        self._closing = True
        self._settle_now.set()
        await asyncio.wait({settling}, timeout=LAST_SETTLE)
        settling.cancel()
        return self.report

    async def _work(self) -> None:
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await self._claim(stopped)
        finally:
            stopped.cancel()
        await self._drain()

    def _executor(self) -> Executor:
        return Executor(self._settings, self._registry, self._people, self._concurrency, self._collect)

    # ------------------------------------------------------------------ claim

    async def _claim(self, stopped: asyncio.Task[bool]) -> None:
        if not self.types:
            logger.warning("There is no handler for {}: nothing to do.", ", ".join(self._settings.worker.types))
        while not self._stops:
            unfinished = len(self._held) + self._isolation.load
            slots = self._concurrency - self._running + self._loops.held_up
            free = min(slots, 4 * self._concurrency - unfinished, self._portion())
            if free <= 0:
                await self._woken()
                continue
            types = self._claimable()
            # Without waiting first: this goes into one transaction with the settle that made room.
            asked = time.monotonic()
            claimed = await self._patience.until_done(
                "claim tasks", partial(self._queue.claim, types, free), until=self._stopping
            )
            self._claim_time += (time.monotonic() - asked - self._claim_time) / 16
            self._dry = len(claimed) < free
            self._moved()
            if not claimed and not self._burst:
                waiting = asyncio.create_task(self._queue.claim(types, free, CLAIM_WAIT))
                await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                claimed = await _called_off(waiting)
            if claimed:
                self._begin(claimed)
            elif self._burst:
                if not unfinished:
                    return
                await self._woken()  # what still runs may make more work, or end

    def _portion(self) -> int:
        """How many to claim at once: some more than end while a claim takes place, or all if handlers are as quick.

        Then what is settled and claimed for some is done while the others run. If all started together, they would end
        together, and all slots stand empty until the last of them is settled and claimed for.
        """
        if not self._apart:  # a cell, which has its tasks in no time
            return self._concurrency
        return math.ceil(self._concurrency * min(1.0, AHEAD * self._claim_time / max(self._usual, 1e-6)))

    def _claimable(self) -> list[str]:
        refused = self._loops.refused
        return [
            type
            for type in self.types
            if type not in self._elsewhere and self._registry.handlers[type].plugin.name not in refused
        ]

    def _begin(self, claimed: list[Delivery]) -> None:
        harmless = self._harmless()
        suspects = [delivery for delivery in claimed if delivery.crashes > harmless]
        if suspects:
            self._isolation.submit(suspects)
            claimed = [delivery for delivery in claimed if delivery.crashes <= harmless]
        self._held.update((delivery.task.id, delivery) for delivery in claimed)
        self._running += len(claimed)
        self._moved()
        if claimed:
            self._loops.submit(claimed)

    def _harmless(self) -> float:
        """With how many crashes a task may still run in this process.

        With one, if nothing else runs that it could take along, and if this process has lived long enough not to be
        the next in a row that somebody kills: a task that has waited for a lease to run out should not wait for a cell.
        """
        if not self._apart:
            return math.inf
        age = asyncio.get_running_loop().time() - self._began
        return 0 if self._running or age < min(STEADY, self._settings.queue.lease / 2) else ALONE - 1

    async def _woken(self) -> None:
        await self._wake.wait()
        self._wake.clear()

    # ------------------------------------------------------------------ settle

    def _collect(self) -> None:
        self._ended(self._loops.take())

    def _ended(self, results: Sequence[Result]) -> None:
        if not results:
            return
        self._running -= len(results)
        for result in results:
            self._usual += (result.seconds - self._usual) / 16
            self._ran(result.delivery)
        self._moved()
        self._finish(*results)

    def _finish(self, *results: Result) -> None:
        self._finished += results
        self._settle_now.set()
        self._wake.set()

    def _told(self, kind: str) -> None:
        """A cell's process has settled one."""
        self.report.add(kind)
        self._wake.set()

    async def _settle(self) -> None:
        while self._finished or not self._closing:
            await self._settle_now.wait()
            self._settle_now.clear()
            results, self._finished = self._finished, []
            if not results:
                continue
            outcomes = [(result.delivery, self._verdict(result)) for result in results]
            self._account.note(results, outcomes)
            counters = {**self._account.counters(), **self._loops.counters()}
            answers = self._answers(outcomes)
            lost = await self._patience.until_done(
                "settle tasks", partial(self._queue.settle, outcomes, counters, answers)
            )
            for delivery, _ in outcomes:
                if self._held.get(delivery.task.id) is delivery:
                    del self._held[delivery.task.id]
            for delivery in lost:
                self._account.count("leases_lost")
                logger.bind(task_id=delivery.task.id).warning(
                    "Result refused: the lease was lost, somebody else has the task."
                )
            told = [each for each, _ in outcomes if each.task.id in answers and each not in lost]
            self._answered([Answer.to(each, answers[each.task.id]) for each in told])
            self._wake.set()

    def _answers(self, outcomes: list[tuple[Delivery, Outcome]]) -> dict[str, str]:
        """What to tell those who wait for the end of a task, by its id: for them the first attempt here is the last.

        But a crash, or a `Wait` without delay, is none of theirs: another worker takes the task at once.
        """
        return {
            delivery.task.id: self._answer(delivery, outcome, self._registry.handlers[delivery.task.type].attempts)
            for delivery, outcome in outcomes
            if self._answer and delivery.task.reply is not None
            if not isinstance(outcome, Crash) and not (isinstance(outcome, Wait) and not outcome.delay)
        }

    def _verdict(self, result: Result) -> Outcome:
        """The outcome with what the worker decides: how long to back off, and when there have been attempts enough."""
        outcome = result.outcome
        if isinstance(outcome, Done):
            return outcome
        # Attempts that a crash ended are counted apart: they say little about this task.
        attempt = max(1, result.delivery.task.attempt - result.delivery.crashes)
        if isinstance(outcome, Unfinished) and outcome.reason == self._people.elsewhere:
            self._leave_to_others(result.delivery.task.type)
        if isinstance(outcome, Retry) and not (self._answer and result.delivery.task.reply is not None):
            attempts = self._registry.handlers[result.delivery.task.type].attempts
            if attempt >= attempts:
                return Fail(f"{outcome.reason} (attempt {attempt} of {attempts})")
            if outcome.delay is None:
                worker = self._settings.worker
                return Retry(outcome.reason, backoff(attempt, worker.backoff_base, worker.backoff_max))
        return outcome

    def _leave_to_others(self, type: str) -> None:
        if type not in self._elsewhere:
            self._elsewhere.add(type)
            logger.error(
                "{} is left to others: {}. If that home is gone for good: carex users take-over",
                type,
                self._people.elsewhere,
            )

    # ------------------------------------------------------------------ keep

    async def _keep(self) -> None:
        """Prolong leases, watch for a blocked loop, prune."""
        loop = asyncio.get_running_loop()
        extend_at, prune_at = loop.time() + self._settings.queue.lease / 3, loop.time() + PRUNE_EVERY
        while True:
            await asyncio.sleep(WATCH)
            try:
                await self._watch()
                if loop.time() >= extend_at:
                    extend_at = loop.time() + self._settings.queue.lease / 3
                    await self._queue.extend([*self._held.values(), *self._isolation.waiting])
                if loop.time() >= prune_at:
                    prune_at = loop.time() + PRUNE_EVERY
                    for _ in range(PRUNE_ROUNDS):
                        if not await self._queue.prune(self._settings.queue.keep_done):
                            break
            except Unreachable as error:
                self._patience.missed()
                logger.warning("Storage does not answer: {}", error.message)

    async def _watch(self) -> None:
        """Go on beside loops that a handler holds up, and without those that it has held for longer than it may run."""
        if given_up := await self._loops.look():
            self._account.count("loops_given_up", given_up)
        self._collect()
        if self._loops.held_up:
            self._wake.set()  # others may run in the meantime

    # ------------------------------------------------------------------ stop

    async def _drain(self) -> None:
        """Let what runs finish, for as long as the grace period or until told a second time."""
        end = asyncio.get_running_loop().time() + self._settings.worker.grace
        while (self._running or self._isolation.load) and self._stops < 2:
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                break
            try:
                await asyncio.wait_for(self._woken(), left)
            except asyncio.TimeoutError:
                break
        self.report.given_back = self._running + self._isolation.load


async def _nowhere(width: int) -> Talk:
    raise NotImplementedError("Suspects run here.")


def backoff(attempt: int, base: float, longest: float) -> float:
    """Seconds to wait after this attempt: anything up to base, twice that, four times … (full jitter)."""
    return random.uniform(0, min(longest, base * 2 ** (attempt - 1)))  # noqa: S311 - no secret hangs on it


async def _called_off(claiming: asyncio.Task[list[Delivery]]) -> list[Delivery]:
    """What a waiting claim brought; if it still waits, because we were told to stop, it ends now."""
    if not claiming.done():
        claiming.cancel()
    try:
        return await claiming
    except (asyncio.CancelledError, Unreachable):
        return []
