"""What the portal says about the employees: who is away, and how much each has open.

Plugins bring the sources. An answer is kept in `people.db` for a minute, so that all processes share it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from carex.database import Connection
from carex.people import ledger
from carex.people.eligibility import Presence
from carex.people.rules import Rules
from carex.people.user import User, barrier

Ask = Callable[[Sequence[int], datetime], Awaitable[Mapping[int, str | int]]]
"""Asks about employees, at a time in the installation's time zone: why each is away, or how much they have open."""

FRESH = 60.0
FRESH_FAILURE = 15.0
FRESH_NOBODY = 15.0
"""Seconds an answer holds; while nobody is available, or when there was none, it is asked for sooner."""
PATIENCE = 20.0


@dataclass(frozen=True)
class Answer:
    """What one source said, or why it could not. `asked_at` is the time before it was asked."""

    name: str
    asked_at: float
    error: str = ""
    of: Mapping[int, str | int | None] = field(default_factory=dict)
    """By employee; None: nothing speaks against them."""

    def holds(self, now: float, fresh: float) -> bool:
        return now - self.asked_at < (FRESH_FAILURE if self.error else fresh)

    def covers(self, ids: Sequence[int]) -> bool:
        return bool(self.error) or self.of.keys() >= set(ids)


def known(connection: Connection, rules: Rules, users: Sequence[User], now: float, *, count: bool) -> Presence:
    """What is known, however old it is. `count`: everybody's load is wanted, even if no source tells it; otherwise
    only that of those who have a limit.
    """
    ids = [user.id for user in users if count or user.open_cap is not None]
    away: dict[int, str] = {}
    load: dict[int, int] = {}
    failed: dict[str, str] = {}
    counts_open = False
    for answer in _answers(connection, rules):
        if answer.error:
            failed[answer.name] = answer.error
        away.update({id: said for id, said in answer.of.items() if isinstance(said, str)})
        numbers = {id: said for id, said in answer.of.items() if isinstance(said, int)}
        if numbers:
            since = ledger.given_since(connection, ids, answer.asked_at, now)
            load = {id: numbers.get(id, 0) + since[id] for id in ids}
            counts_open = True
    if count and not counts_open:
        load = ledger.given_lately(connection, ids, now)
    return Presence(away, load, failed, counts_open)


def stale(connection: Connection, rules: Rules, users: Sequence[User], now: float, fresh: float = FRESH) -> list[str]:
    """The sources that have to be asked again."""
    answers = {answer.name: answer for answer in _answers(connection, rules)}
    ids = askable(users)
    found = []
    for name in rules.sources:
        answer = answers.get(name)
        if answer is None or not answer.holds(now, fresh) or not answer.covers(ids):
            found.append(name)
    return found if ids else []


def askable(users: Iterable[User]) -> list[int]:
    """Those about whom the portal can say something that matters."""
    return [user.id for user in users if barrier(user) is None]


async def ask(
    sources: Mapping[str, Ask], names: Sequence[str], ids: Sequence[int], now: float, rules: Rules
) -> list[Answer]:
    """Ask these sources, all at once. One that fails, or takes too long, answers with its error."""
    at = datetime.fromtimestamp(now, rules.zone())
    return list(await asyncio.gather(*(_ask(sources.get(name), name, ids, now, at) for name in names)))


def store(connection: Connection, answers: Sequence[Answer]) -> None:
    """Keep the answers, unless somebody has newer ones."""
    for answer in answers:
        connection.execute(
            "INSERT INTO sources VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET asked_at = excluded.asked_at,"
            " error = excluded.error, answer = excluded.answer WHERE excluded.asked_at >= sources.asked_at",
            (answer.name, answer.asked_at, answer.error, json.dumps(answer.of)),
        )


async def _ask(source: Ask | None, name: str, ids: Sequence[int], now: float, at: datetime) -> Answer:
    if source is None:
        return Answer(name, now, "no plugin here offers it")
    try:
        found = await asyncio.wait_for(source(ids, at), PATIENCE)
        return Answer(name, now, of={id: found.get(id) for id in ids})
    except (asyncio.TimeoutError, TimeoutError):
        return Answer(name, now, f"no answer within {PATIENCE:g} s")
    except Exception as error:  # noqa: BLE001 - a plugin's code; what follows from its failure is a setting
        return Answer(name, now, (str(error) or type(error).__name__)[:300])


def _answers(connection: Connection, rules: Rules) -> list[Answer]:
    rows = connection.execute("SELECT name, asked_at, error, answer FROM sources").fetchall() if rules.sources else []
    found = {row["name"]: _answer(*row) for row in rows}
    return [found[name] for name in rules.sources if name in found]


@lru_cache(maxsize=16)
def _answer(name: str, asked_at: float, error: str, text: str) -> Answer:
    """Read a row; most decisions of a minute go by the same ones."""
    return Answer(name, asked_at, error, {int(id): said for id, said in json.loads(text).items()})
