"""The story that the demo tells: deals arrive, the portal limits, fails and recovers, a worker is killed."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable

from carex.errors import CarexError
from carex.people import Directory
from carex.queue import Filter, Queue, open_queue
from carex_bitrix24.demo_board import SPEED, Board, Verdict
from carex_bitrix24.demo_stage import SECRET, Stage
from carex_bitrix24.simulator import Fault, Portal, serve

LATENCY = 0.25
ON_LEAVE = (3, 7)
FIRST_DEAL = 1001
ARRIVAL = 2.5
"""Seconds in which the deals arrive, unless that were more than `FASTEST` a second."""
FASTEST = 120.0
OUTAGE = 3.0
LOOK_EVERY = 0.12
SAMPLE = 500
"""Of so many waiting tasks the reasons are counted."""


async def tell(board: Board, stage: Stage, *, seed: int, look: Callable[[], None]) -> Verdict:
    """Play the story to its end and judge it. `look` is called whenever the board has changed."""
    portal = Portal(speed=SPEED, latency=LATENCY, seed=seed, secret=SECRET)
    queue = open_queue(f"sqlite://{stage.home / 'data' / 'queue.db'}")
    limit = 40.0 + board.deals / 20
    try:
        async with serve(portal, port=stage.port):
            story = Story(board, stage, portal, queue, seed, look)
            try:
                await asyncio.wait_for(story.play(), limit)
            except asyncio.TimeoutError:
                return story.verdict(
                    f"It was not over after {limit:.0f} s: {_deals(board.waiting + board.running)} wait."
                )
            except CarexError as error:
                return story.verdict(error.message)
            return story.verdict()
    finally:
        await queue.close()


class Story:
    """One performance: `play` acts and keeps the board up to date, `verdict` reads the portal's ledger."""

    def __init__(
        self,
        board: Board,
        stage: Stage,
        portal: Portal,
        queue: Queue,
        seed: int,
        look: Callable[[], None],
    ) -> None:
        self._board = board
        self._stage = stage
        self._portal = portal
        self._queue = queue
        self._random = random.Random(seed)  # noqa: S311 - only spreads the robots' calls
        self._look = look
        self._names = {each.id: f"{each.name} {each.last_name}" for each in portal.employees.values()}
        self._down = False
        self._limited_at = float("-inf")
        self._alive: set[int] = set()
        self._reasons: dict[str, None] = {}  # in the order in which they came up, so that the picture is steady
        self._killed = 0
        board.shares = dict.fromkeys(self._names.values(), 0)
        board.excluded = [self._names[id] for id in ON_LEAVE]

    async def play(self) -> None:
        """Raise CarexError if one of Carex's processes dies on its own."""
        board = self._board
        self._hire()
        address = await self._address()
        board.say(f"The portal's robots report {_deals(board.deals)}, each calling carex serve once.")
        robots = asyncio.create_task(self._report(address))
        try:
            await self._limits()
            await self._outage()
            await self._murder()
            await self._until(robots.done)
            await self._until(lambda: not board.waiting + board.running)
        finally:
            robots.cancel()
        self._look()

    def verdict(self, stopped: str = "") -> Verdict:
        """What the portal's ledger says now; `stopped` is why the story did not come to its end."""
        board, ledger = self._board, self._portal.ledger
        self._read_ledger()
        doubles = ledger.given_to_two()
        problems = [stopped] if stopped else []
        if board.reported < board.deals:
            problems.append(f"carex serve did not take {board.deals - board.reported} of {board.deals} reports.")
        if board.assigned < board.deals:
            problems.append(f"{_deals(board.deals - board.assigned)} without a responsible person.")
        if doubles:
            deal, people = next(iter(doubles.items()))
            names = ", then ".join(self._names.get(id, str(id)) for id in people)
            problems.append(f"{_deals(len(doubles))} given to two people, such as {deal}: {names}.")
        if board.failed:
            problems.append(f"{_deals(board.failed)} failed for good.")
        given = [name for name in board.excluded if board.shares[name]]
        if given:
            problems.append(f"Deals were given to people on leave: {', '.join(given)}.")
        return Verdict(
            deals=board.deals,
            assigned=board.assigned,
            given_to_two=len(doubles),
            killed_workers=self._killed,
            requests=ledger.requests,
            refused=ledger.refusals,
            failed=board.faults,
            answers_lost=sum(number for (_, how), number in ledger.calls.items() if how == "fault:answer_lost"),
            shares=board.shares,
            excluded=board.excluded,
            expected=board.expected,
            seconds=board.seconds,
            problems=problems,
        )

    # ------------------------------------------------------------------ what happens

    async def _limits(self) -> None:
        board, ledger = self._board, self._portal.ledger
        self._mishaps()
        await self._until(lambda: board.assigned > 0)
        board.say("The first deal has a responsible person.")
        await self._until(lambda: ledger.calls["batch", "OK"] > 0 or self._reached(0.4))
        if ledger.calls["batch", "OK"]:
            board.say("The portal allows few requests: calls that have to wait go together, up to 50 in one.")
        await self._until(lambda: self._reached(0.45))

    async def _outage(self) -> None:
        board = self._board
        self._down = True
        self._portal.faults.clear()
        self._portal.faults.add(Fault("html_502", probability=0.5), Fault("unavailable_503"))
        began = time.monotonic()
        await self._until(lambda: time.monotonic() - began > OUTAGE / 3)
        board.say(f"The portal is down; nothing is lost, {_deals(board.waiting)} wait.")
        await self._until(lambda: time.monotonic() - began > OUTAGE)
        self._down = False
        self._mishaps()
        board.say("The portal is back. The deals come again by themselves.")

    def _mishaps(self) -> None:
        """What a portal does now and then: it does as it was told, but the answer is lost, or speaks of an error."""
        self._portal.faults.clear()
        self._portal.faults.add(
            Fault("answer_lost", count=max(6, self._board.deals // 20), probability=0.25),
            Fault("status_500", count=max(2, self._board.deals // 40), probability=0.1, applied=True),
        )

    async def _murder(self) -> None:
        board, victim = self._board, self._stage.worker
        await self._until(lambda: (self._reached(0.7) and board.running >= 3) or self._reached(0.9))
        held = board.running
        await victim.kill()
        self._killed += 1
        board.say(f"Worker {victim.pid} killed (kill -9) with {_deals(held)} in hand. Another starts.")
        await self._stage.start_worker()
        heir = self._stage.worker
        await self._until(lambda: heir.pid in self._alive)
        board.say(f"Worker {heir.pid} has taken over what the dead one held.")

    def _reached(self, part: float) -> bool:
        return self._board.assigned >= max(1, part * self._board.deals)

    # ------------------------------------------------------------------ who acts

    def _hire(self) -> None:
        """Put the portal's employees into the directory; two of them are on leave."""
        rows = [f"{id},{name},{'yes' if id in ON_LEAVE else 'no'}\n" for id, name in self._names.items()]
        file = self._stage.home / "employees.csv"
        file.write_text("id,name,excluded\n" + "".join(rows), encoding="utf-8")
        directory = Directory(self._stage.home / "data" / "people.db")
        directory.import_csv(file)
        directory.close()

    async def _address(self) -> str:
        """Where the server listens, which it says when it does."""
        while True:
            found = re.search(r"listens on (http://\S+)\n", self._stage.server.said())
            if found:
                return found[1]
            self._stage.check()
            await asyncio.sleep(0.02)

    async def _report(self, address: str) -> None:
        """Every robot calls once, at a time of its own."""
        seconds = max(ARRIVAL, self._board.deals / FASTEST)
        deals = [(self._random.uniform(0, seconds), FIRST_DEAL + n) for n in range(self._board.deals)]
        await asyncio.gather(*(self._call(f"{address}/CarexRandom", deal, delay) for delay, deal in deals))

    async def _call(self, url: str, deal: int, delay: float) -> None:
        await asyncio.sleep(delay)
        status = await self._portal.robot_post(url, deal)
        self._board.reported += status is not None and status < 300

    # ------------------------------------------------------------------ what is seen

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Keep looking until it is so."""
        while True:
            self._stage.check()
            await self._read_queue()
            self._read_ledger()
            self._look()
            if condition():
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _read_queue(self) -> None:
        board, counts = self._board, await self._queue.counts()
        board.waiting, board.running, board.failed = (counts.of(s) for s in ("waiting", "running", "failed"))
        board.set_back = sum(
            int(number) for name, number in counts.counters.items() if name.endswith((":retry", ":wait"))
        )
        self._alive = {holder.pid for holder in counts.holders if holder.alive}
        board.worker = "works" if self._alive else "was killed" if self._killed else "starts"
        waiting = await self._queue.tasks(Filter(states=("waiting",), limit=SAMPLE))
        reasons = Counter(entry.reason.partition(": ")[2] or entry.reason for entry in waiting if entry.reason)
        self._reasons.update(dict.fromkeys(reasons))
        board.reasons = [(reasons[reason], reason) for reason in self._reasons if reasons[reason]]

    def _read_ledger(self) -> None:
        board, ledger = self._board, self._portal.ledger
        if ledger.refusals > board.refused:
            self._limited_at = time.monotonic()
        limited = time.monotonic() - self._limited_at < 1.0
        board.portal = "is down" if self._down else "limits" if limited else "answers"
        board.requests, board.refused = ledger.requests, ledger.refusals
        board.faults = sum(number for (_, how), number in ledger.calls.items() if how.startswith("fault:"))
        found = ledger.shares()
        board.assigned = sum(found.values())
        board.shares = {name: found[id] for id, name in self._names.items()}


def _deals(number: int) -> str:
    return f"{number} deal{'' if number == 1 else 's'}"
