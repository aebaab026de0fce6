"""Deciding: who is to get a piece of work is on disk, with all it was decided by, before anybody is told.

Without that a retry after a crash would choose again, and the work would go to two people. Choosing and writing down,
and what round robin, weights and caps count, are one transaction: any number of workers take turns as one would.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from carex.choice import DRAW_BITS
from carex.database import Connection, Database
from carex.errors import ConfigError
from carex.people import ledger, presence, strategies
from carex.people.eligibility import LASTING, Given, Presence, name_of, sort_out, why_nobody, why_not_fallback
from carex.people.home import Register, home_id, home_of
from carex.people.inputs import Inputs, Share
from carex.people.ledger import Decision
from carex.people.presence import Ask
from carex.people.returns import BY as BY_LOAD
from carex.people.returns import last_turn, lifted
from carex.people.rules import Pool, Rules
from carex.people.schema import migrations
from carex.people.strategies import FALLBACK, STRATEGIES, Strategy, parts_of
from carex.people.user import User, barrier
from carex.task import Task, Wait

Facts = Callable[[frozenset[str]], Awaitable[Mapping[str, Any]]]
"""Finds out these facts about the work: pipeline, source, amount …; `owners` is a list of employees' ids."""


class Case(NamedTuple):
    """What is to be decided."""

    task_id: str
    entity: str
    strategy: str | None
    again: bool


class Missing(NamedTuple):
    """What has to be known before it can be decided: facts about the work, or the answers of these sources."""

    facts: bool
    sources: list[str]
    ids: list[int]


class People:
    """Gives work to employees. May be called from any event loop; storage that does not answer raises `Unreachable`."""

    def __init__(
        self,
        database: Database,
        *,
        window: float,
        ledger: bool,
        retry_delay: float,
        clock: Callable[[], float],
        rng: random.Random | None,
        register: Register | None,
        rules: Rules,
        strategies: Mapping[str, Strategy],
    ) -> None:
        self._database = database
        self._register = register
        self.elsewhere = ""
        """Why this home may not assign: another home on the same queue does."""
        self.rules = rules
        self.sources: dict[str, Ask] = {}
        """Who can be asked about the employees, by the names that `rules.sources` uses."""
        self._strategies = {**STRATEGIES, **strategies}
        self._asking: asyncio.Future[None] | None = None
        self._window = window
        self._ledger = ledger
        self._retry_delay = retry_delay
        self._clock = clock
        self._rng = rng

    async def decide(
        self, task: Task, entity: str, *, strategy: str | None = None, again: bool = False, facts: Facts | None = None
    ) -> Decision:
        """Choose who gets `entity`; the decision is on disk when this returns, so tell the portal afterwards.

        The same task gets the same person, whoever was excluded meanwhile; so does another task about the same entity
        within the window, unless that person has left or is away. If a later task has given the entity to somebody
        else, that holds for both.
        The pool, and with it the strategy, follows from the rules; `facts` is only asked for what they want to know.
        `again` asks for a new decision; a retry of the task that asked gets the one it got.
        Raises `Wait` if nobody is available and there is no fallback.
        """
        if strategy is not None:
            strategies.check(strategy, self._strategies)
        await self._be_at_home()
        case = Case(task.id, entity, strategy, again)
        about: Mapping[str, Any] | None = None if facts and self.rules.wanted() else {}
        asked = not self.rules.sources
        found = await self._database.run(partial(self._decide, case=case, about=about, asked=asked))
        while isinstance(found, Missing):
            if found.facts and facts:
                about = await facts(self.rules.wanted())
            if found.sources:
                await self._ask(found)
                asked = True
            found = await self._database.run(partial(self._decide, case=case, about=about, asked=asked))
        if isinstance(found, Wait):
            raise found
        return found

    async def anybody(self, task: Task, entity: str, *, again: bool = False) -> None:
        """Raise `Wait` if `decide` would, whatever the facts are: to be asked before the portal is. Stores nothing."""
        await self._be_at_home()
        case = Case(task.id, entity, None, again)
        found = await self._database.read(partial(self._nobody, case=case, asked=not self.rules.sources))
        if isinstance(found, Missing):
            await self._ask(found)
            found = await self._database.read(partial(self._nobody, case=case, asked=True))
        if isinstance(found, Wait):
            raise found

    async def refresh(self) -> None:
        """Ask every source anew, however fresh its answer is."""
        ids = presence.askable(await self.users())
        if ids and self.rules.sources:
            await self._ask(Missing(False, list(self.rules.sources), ids))

    async def told(self, decision: Decision, reply: str) -> None:
        """Write down what the portal answered when it was told."""
        at = self._clock()
        await self._database.run(lambda connection: ledger.tell(connection, decision.id, at, reply[:300]))

    async def decisions(
        self, *, entity: str | None = None, task_id: str | None = None, since: float = 0.0
    ) -> list[Decision]:
        """The decisions about an entity, for a task, or all, made since a Unix time; newest first."""
        given = {"entity": entity, "task_id": task_id}
        wanted = {column: value for column, value in given.items() if value is not None}
        rows = await self._database.read(lambda connection: ledger.find(connection, wanted, since))
        return [ledger.decision_of(row, reused=row["reused_from"] is not None) for row in rows]

    async def users(self) -> list[User]:
        """Everybody in the directory."""
        now = self._clock()
        return await self._database.read(lambda connection: ledger.users(connection, now))

    async def close(self) -> None:
        await self._database.close()

    async def _be_at_home(self) -> None:
        """Make sure, once, that among the homes that share a queue it is this one that assigns people."""
        register = self._register
        if register is not None:
            home = await self._database.read(home_of)
            owner = await register(home)
            if owner.split()[0] != home.split()[0]:
                self.elsewhere = f"employees are assigned by another home, {owner.partition(' ')[2]}"
                raise Wait(self.elsewhere, delay=0)
            self._register = None

    async def _ask(self, missing: Missing) -> None:
        """Ask the sources; those who want to know at the same time wait for the same answer."""
        asking = self._asking
        if asking is None or asking.done() or asking.get_loop() is not asyncio.get_running_loop():
            asking = self._asking = asyncio.ensure_future(self._ask_and_store(missing))
        await asyncio.shield(asking)

    async def _ask_and_store(self, missing: Missing) -> None:
        answers = await presence.ask(self.sources, missing.sources, missing.ids, self._clock(), self.rules)
        await self._database.run(lambda connection: presence.store(connection, answers))

    def _decide(
        self, connection: Connection, case: Case, about: Mapping[str, Any] | None, asked: bool
    ) -> Decision | Wait | Missing:
        """Look up or decide, in the caller's transaction. `Wait` is returned: raised, it would undo the neighbours."""
        now = self._clock()
        latest = ledger.latest(connection, case.entity)
        if latest and self._decided(connection, case):
            return ledger.decision_of(latest, reused=True)  # maybe a later task has given it to another
        if latest and self._repeats(connection, case, latest, now):
            repeated = {"task_id": case.task_id, "decided_at": now, "again": False, "reused_from": latest["id"]}
            return ledger.decision_of(ledger.insert(connection, {**latest, **repeated}), reused=True)
        users = ledger.users(connection, now)
        sources = [] if asked else presence.stale(connection, self.rules, users, now)
        if about is None or sources:
            return Missing(about is None, sources, presence.askable(users))

        pool = self.rules.pool(about)
        strategy = case.strategy or pool.strategy
        try:
            strategies.check(strategy, self._strategies)
        except ConfigError as error:  # its plugin may be broken for now: no reason to fail the task
            return Wait(error.message, delay=self._retry_delay)
        parts = parts_of(strategy)
        there = presence.known(connection, self.rules, users, now, count="least_loaded" in parts)
        given = ledger.given(connection, users, self.rules, now)
        eligible, skipped = sort_out(users, pool, self.rules, there, given, now)
        if not eligible and not asked:
            sources = presence.stale(connection, self.rules, users, now, presence.FRESH_NOBODY)
            if sources:
                return Missing(False, sources, presence.askable(users))

        round = latest["round"] + 1 if latest else 1
        shares = {user.id: Share(user.weight, there.load.get(user.id, 0)) for user in eligible}
        fallback, barred = (None, "") if eligible else self._fallback(pool, users, there, given)
        inputs = Inputs(
            candidates=lifted(shares, *last_turn(connection, pool.name)) if BY_LOAD in parts else shares,
            draw=self._draw(connection, case.entity, round) if eligible else 0,
            facts=_plain({name: about[name] for name in self.rules.wanted() if name in about}),
            state=ledger.state(connection, pool.name, [*parts, "random"], [user.id for user in eligible]),
            sources={name: there.failed.get(name, "ok") for name in self.rules.sources},
            fallback=fallback,
        )
        if not eligible:
            if fallback is None:
                return Wait(why_nobody(users, skipped, pool, self.rules, now) + barred, delay=self._retry_delay)
            strategy = FALLBACK
        try:
            chosen = strategies.choose(strategy, inputs, self._strategies)
        except ConfigError as error:  # a plugin's: it may be repaired
            return Wait(error.message, delay=self._retry_delay)
        row = ledger.insert(
            connection,
            {
                "task_id": case.task_id,
                "entity": case.entity,
                "round": round,
                "user_id": chosen.user_id,
                "user_name": next(user.name for user in users if user.id == chosen.user_id),
                "strategy": strategy,
                "pool": pool.name,
                "chosen_by": chosen.by,
                "note": chosen.note,
                "draw": inputs.draw,
                "candidates": json.dumps(sorted(inputs.candidates)),
                "skipped": json.dumps(skipped),
                "inputs": inputs.to_json(),
                "decided_at": now,
                "again": case.again,
                "reused_from": None,
            },
        )
        if eligible:
            ledger.remember(connection, pool.name, chosen.by, chosen.user_id, row["id"], chosen.credits)
        return ledger.decision_of(row, reused=False)

    def _nobody(self, connection: Connection, case: Case, asked: bool) -> Wait | Missing | None:
        """Why nobody could be chosen, from whatever pool; None: somebody perhaps, or somebody has been already."""
        now = self._clock()
        latest = ledger.latest(connection, case.entity)
        if latest and (self._decided(connection, case) or self._repeats(connection, case, latest, now)):
            return None
        users, everybody = ledger.users(connection, now), self.rules.everybody()
        given = ledger.given(connection, users, self.rules, now)
        sources = [] if asked else presence.stale(connection, self.rules, users, now, presence.FRESH_NOBODY)
        there = Presence(counts_open=True)  # as if all were there
        if not sources:
            there = presence.known(connection, self.rules, users, now, count=False)
        eligible, skipped = sort_out(users, everybody, self.rules, there, given, now)
        last = [self._fallback(pool, users, there, given) for pool in (everybody, *self.rules.pools)]
        if not eligible and all(fallback is None for fallback, _ in last):
            return Wait(why_nobody(users, skipped, everybody, self.rules, now) + last[0][1], delay=self._retry_delay)
        return Missing(False, sources, presence.askable(users)) if sources else None

    def _decided(self, connection: Connection, case: Case) -> bool:
        return self._ledger and ledger.has_decided(connection, case.task_id, case.entity, case.again)

    def _repeats(self, connection: Connection, case: Case, latest: Mapping[str, Any], now: float) -> bool:
        """Whether the decision of another task holds for this one, too."""
        recent = self._ledger and not case.again and now - latest["decided_at"] < self._window
        return recent and self._holds(connection, latest, now)

    def _holds(self, connection: Connection, latest: Mapping[str, Any], now: float) -> bool:
        """Whether an earlier decision is good for another task: who has left, or is on leave, gets nothing new."""
        user = next((user for user in ledger.users(connection, now) if user.id == latest["user_id"]), None)
        if user is None or barrier(user):
            return False
        if latest["strategy"] == FALLBACK:
            return True
        away = presence.known(connection, self.rules, [user], now, count=False).away
        return name_of(away.get(user.id, "")) not in LASTING

    def _draw(self, connection: Connection, entity: str, round: int) -> int:
        """The random number of a decision. It follows from the installation's own secret, the entity and the round, so
        that `carex deals simulate` foretells what will be."""
        if self._rng is not None:
            return self._rng.getrandbits(DRAW_BITS)
        key = home_id(connection).encode()
        digest = hashlib.blake2b(f"{entity} {round}".encode(), key=key, digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 64 - DRAW_BITS

    def _fallback(
        self, pool: Pool, users: list[User], there: Presence, given: Mapping[int, Given]
    ) -> tuple[int | None, str]:
        """Who gets what nobody can, whatever the hour; or None, and why the fallback cannot take it either."""
        id = self.rules.fallback_of(pool)
        user = next((user for user in users if user.id == id), None)
        if id is None:
            return None, ""
        if user is None:
            return None, f"; the fallback {id} is not in the directory"
        why = why_not_fallback(user, self.rules, there, given.get(user.id, Given()))
        return (None, f"; the fallback {user.name}: {why}") if why else (user.id, "")


def open_people(
    path: Path,
    *,
    window: float = 300.0,
    ledger: bool = True,
    retry_delay: float = 30.0,
    clock: Callable[[], float] = time.time,
    rng: random.Random | None = None,
    register: Register | None = None,
    rules: Rules | None = None,
    strategies: Mapping[str, Strategy] | None = None,
) -> People:
    """Open the ledger in this file, made if missing. `window` and `retry_delay` are in seconds.

    `strategies` are those of the plugins. With several homes on one queue, `register` sees to it that only one of them
    assigns people. With `ledger` off no earlier decision holds and every call draws anew: only good for showing what
    the ledger is for.
    """
    return People(
        Database(path, migrations()),
        window=window,
        ledger=ledger,
        retry_delay=retry_delay,
        clock=clock,
        rng=rng if ledger or rng else random.SystemRandom(),
        register=register,
        rules=rules or Rules(),
        strategies=strategies or {},
    )


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as the ledger will give them back."""
    found: dict[str, Any] = json.loads(json.dumps(facts, ensure_ascii=False, default=str))
    return found
