"""Buckets on the real storage of each kind, shared by several openers as by several processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from carex.errors import Unreachable
from carex.limiter import ALL, Limiter, Store
from carex.limiter_stores import RedisStore, SqliteStore, share_of

if TYPE_CHECKING:
    from conftest import RedisServer

Open = Callable[[], Store]


@pytest.fixture(params=["sqlite", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "limits.db")
    server = request.getfixturevalue("shared_redis")
    server.ask("FLUSHALL")
    return lambda: RedisStore(server.url)


def test_places_are_given_once_however_many_ask(open_store: Open) -> None:
    async def scenario() -> list[float]:
        stores = [open_store() for _ in range(3)]
        limiters = [Limiter(store, "portal", rate=2.0, burst=11.0) for store in stores]
        permits = await asyncio.gather(*(limiter.reserve() for limiter in limiters for _ in range(10)))
        await asyncio.gather(*(store.close() for store in stores))
        return sorted(permit.delay for permit in permits)

    delays = asyncio.run(scenario())

    assert sum(delay == 0 for delay in delays) in (10, 11)
    assert 9.0 < delays[-1] <= 10.0


def test_what_one_closes_is_closed_for_all_until_it_works_again(open_store: Open) -> None:
    async def scenario() -> list[bool]:
        stores = [open_store(), open_store()]
        one, other = (Limiter(store, "portal", rate=1000.0, burst=50.0) for store in stores)
        await one.close(ALL, "the portal is down", 60.0)
        closed = [ALL in (await other.reserve()).closed]
        await one.open(ALL)
        closed.append(ALL in (await other.reserve()).closed)
        await asyncio.gather(*(store.close() for store in stores))
        return closed

    assert asyncio.run(scenario()) == [True, False]


def test_a_refusal_is_heard_by_all(open_store: Open) -> None:
    async def scenario() -> float:
        stores = [open_store(), open_store()]
        one, other = (Limiter(store, "portal", rate=1.0, burst=50.0) for store in stores)
        await one.refused()
        delay = (await other.reserve()).delay
        await asyncio.gather(*(store.close() for store in stores))
        return delay

    assert 2.5 < asyncio.run(scenario()) <= 3.0


def test_a_redis_that_is_gone_is_said_to_be_unreachable(
    start_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = start_redis()

    async def scenario() -> None:
        share = share_of(server.url, tmp_path)
        limiter = share.limiter("portal", rate=1.0, burst=1.0)
        await limiter.reserve()
        server.kill()
        try:
            await limiter.reserve()
        finally:
            await share.close()

    with pytest.raises(Unreachable):
        asyncio.run(scenario())
