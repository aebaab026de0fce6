"""Storage that does not answer."""

from __future__ import annotations

import asyncio

from carex.account import Account
from carex.errors import Unreachable
from carex.patience import Patience
from carex.queue import Delivery


def test_it_is_asked_until_it_answers_and_every_miss_is_counted() -> None:
    account, misses = Account(), iter([Unreachable("gone"), Unreachable("gone")])

    async def act() -> list[Delivery]:
        for error in misses:
            raise error
        return []

    asyncio.run(Patience(lambda: account.count("redis_errors")).until_done("claim", act))

    assert account.counters() == {"redis_errors": 2.0}


def test_it_is_not_asked_any_more_when_its_time_is_over() -> None:
    async def act() -> list[Delivery]:
        raise Unreachable("gone")

    async def scenario() -> list[Delivery]:
        over = asyncio.Event()
        over.set()
        return await Patience(lambda: None).until_done("claim", act, until=over)

    assert asyncio.run(scenario()) == []
