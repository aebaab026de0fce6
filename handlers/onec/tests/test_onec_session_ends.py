"""Sessions end: at the end of the work, and before another takes the place of one whose request was given up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from carex_onec.simulator import Fault, Publication

from carex import Wait
from carex.testing import Clock

PARTNER = "Catalog_Контрагенты"


def with_base(connect: Any, base: Publication, act: Callable[[Any], Awaitable[Any]], **more: Any) -> Any:
    async def scenario() -> Any:
        async with connect(base, **more) as infobase:
            return await act(infobase)

    return asyncio.run(scenario())


@pytest.mark.parametrize("sessions", [1, 2, 4, 6])
def test_all_sessions_are_given_back_at_the_end(shop: Any, connect: Any, sessions: int) -> None:
    base = shop(licences=sessions)

    async def breathe() -> None:
        await asyncio.sleep(0)

    base.hold = breathe

    async def many(infobase: Any) -> None:
        await asyncio.gather(*(infobase.get(PARTNER) for _ in range(12)))

    with_base(connect, base, many, sessions=sessions)

    assert (base.seats.most, base.seats.in_use) == (sessions, 0)


async def give_up(base: Publication, infobase: Any) -> None:
    """A read that reaches 1C, and is cut off there."""
    reached = asyncio.Event()

    async def never() -> None:
        reached.set()
        await asyncio.Event().wait()

    base.hold = never
    given_up = asyncio.create_task(infobase.get(PARTNER))
    await reached.wait()
    given_up.cancel()
    await asyncio.wait([given_up])
    base.hold = None


def test_a_session_whose_request_was_given_up_is_ended_before_another_is_opened(shop: Any, connect: Any) -> None:
    base = shop(licences=1)

    async def give_up_and_read(infobase: Any) -> None:
        await infobase.get(PARTNER)
        await give_up(base, infobase)
        await infobase.get(PARTNER)

    with_base(connect, base, give_up_and_read)

    assert (base.seats.opened, base.seats.most, base.seats.in_use) == (2, 1, 0)


def test_a_session_counts_as_open_until_1c_says_that_it_has_ended(shop: Any, connect: Any) -> None:
    base, clock = shop(licences=1), Clock()
    base.faults.append(Fault(504, where="/odata", count=0))

    async def give_up_and_read(infobase: Any) -> None:
        await infobase.get(PARTNER)
        await give_up(base, infobase)
        base.faults[0].count = 1
        with pytest.raises(Wait, match="may still be at a request"):
            await infobase.get(PARTNER)
        await infobase.get(PARTNER)

    with_base(connect, base, give_up_and_read, clock=clock)

    assert [each.headers.get("ibsession") for each in base.log] == ["start", "finish", "finish", "start", "finish"]
    assert base.seats.most == 1


def test_a_session_of_which_1c_never_says_that_it_has_ended_is_let_go_in_the_end(shop: Any, connect: Any) -> None:
    base, clock = shop(), Clock()
    base.faults.append(Fault(504, where="standard.odata/", count=0))

    async def give_up_and_read(infobase: Any) -> Any:
        await infobase.call("GET", "carex/v1/ping", repeatable=True)
        await give_up(base, infobase)
        base.faults[0].count = 1
        clock.advance(301)
        return await infobase.get(PARTNER)

    assert with_base(connect, base, give_up_and_read, clock=clock) == {"value": []}


def test_a_session_that_nobody_can_name_counts_as_open_while_it_may_live(shop: Any, connect: Any) -> None:
    clock = Clock()
    base = shop(licences=1, clock=clock)

    async def give_up_and_read(infobase: Any) -> None:
        await give_up(base, infobase)
        with pytest.raises(Wait) as outcome:
            await infobase.get(PARTNER)
        assert outcome.value.delay <= 20
        clock.advance(21)
        await infobase.get(PARTNER)

    with_base(connect, base, give_up_and_read, clock=clock)

    assert {each.status for each in base.log} == {200}
