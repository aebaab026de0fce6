"""Sessions are kept, given back, and never more than allowed; and what happens when 1C lets nobody in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from carex_onec.sessions import Busy, Session, Sessions
from carex_onec.simulator import Fault, Publication

from carex import BpmnError, Fail, Wait
from carex.testing import Clock

PARTNER = "Catalog_Контрагенты"


def with_base(connect: Any, base: Publication, act: Callable[[Any], Awaitable[Any]], **more: Any) -> Any:
    async def scenario() -> Any:
        async with connect(base, **more) as infobase:
            return await act(infobase)

    return asyncio.run(scenario())


async def read_five(infobase: Any) -> None:
    for _ in range(5):
        await infobase.get(PARTNER)


def test_five_reads_cost_one_session_which_is_given_back(shop: Any, connect: Any) -> None:
    base = shop()

    with_base(connect, base, read_five)

    assert (base.seats.opened, base.seats.in_use) == (1, 0)
    assert [each.headers.get("ibsession") for each in base.log] == ["start", *[None] * 4, "finish"]


def test_an_infobase_that_keeps_no_sessions_works_all_the_same(shop: Any, connect: Any) -> None:
    base = shop(keeps_sessions=False)

    with_base(connect, base, read_five)

    assert base.seats.opened == 5


def test_a_write_never_opens_a_session_itself(shop: Any, connect: Any) -> None:
    base = shop()

    async def write(infobase: Any) -> None:
        await infobase.create(PARTNER, {"Description": "x"})

    with_base(connect, base, write)

    assert [each.headers.get("ibsession") for each in base.log] == [None]


def test_a_cheap_read_opens_the_session_for_a_write(shop: Any, connect: Any) -> None:
    base = shop()

    async def write_twice(infobase: Any) -> None:
        for name in "ab":
            await infobase.create(PARTNER, {"Description": name})

    with_base(connect, base, write_twice, ping="carex/v1/ping")

    assert [each.method for each in base.log] == ["GET", "POST", "POST", "GET"]
    assert base.seats.opened == 1


@pytest.mark.parametrize("status", [400, 404, 406, 500])
def test_a_session_that_has_ended_is_opened_anew(shop: Any, connect: Any, status: int) -> None:
    clock = Clock()
    base = shop(dead_session=status, clock=clock)

    async def read_after_a_pause(infobase: Any) -> Any:
        await infobase.get(PARTNER)
        clock.advance(60)
        return await infobase.get(PARTNER)

    assert with_base(connect, base, read_after_a_pause) == {"value": []}
    assert [each.status for each in base.log[:4]] == [200, status, status, 200]
    assert [each.headers.get("ibsession") for each in base.log[:4]] == ["start", None, "finish", "start"]


@pytest.mark.parametrize("status", [400, 404, 406, 500])
def test_a_write_in_a_session_that_has_ended_is_done_once(shop: Any, connect: Any, status: int) -> None:
    clock = Clock()
    base = shop(dead_session=status, clock=clock)

    async def write_after_a_pause(infobase: Any) -> None:
        await infobase.get(PARTNER)
        clock.advance(60)
        await infobase.create(PARTNER, {"Description": "x"})

    with_base(connect, base, write_after_a_pause)

    assert len(base.rows(PARTNER)) == 1


def test_an_error_inside_is_not_taken_for_a_dead_session_by_a_call_that_must_not_be_repeated(
    shop: Any, connect: Any
) -> None:
    base = shop()
    base.faults.append(Fault(500, method="POST", applied=True))

    async def call_in_a_session(infobase: Any) -> None:
        await infobase.get(PARTNER)
        await infobase.call("POST", "carex/v1/echo", {}, repeatable=False)

    with pytest.raises(Fail, match="Nobody knows"):
        with_base(connect, base, call_in_a_session)
    assert len(base.calls) == 1


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_service_that_speaks_like_a_dead_session_is_asked_once_and_stops_nothing(
    shop: Any, connect: Any, status: int, repeatable: bool
) -> None:
    base = shop(licences=1)
    base.faults.append(Fault(status, "Контрагент не найден", where="/hs/", applied=True))

    async def call_between_reads(infobase: Any) -> None:
        await infobase.get(PARTNER)
        with pytest.raises((Fail, Wait), match="Контрагент не найден"):
            await infobase.call("POST", "carex/v1/echo", {}, repeatable=repeatable)
        await infobase.get(PARTNER)

    with_base(connect, base, call_between_reads)

    assert (len(base.calls), base.seats.most, base.seats.in_use) == (1, 1, 0)


def test_a_call_that_nobody_can_tell_from_a_dead_session_is_left_to_a_person(shop: Any, connect: Any) -> None:
    base = shop()
    base.faults += [Fault(404, "", method="POST", applied=True), Fault(502, method="GET", where="/odata")]

    async def call_in_a_session(infobase: Any) -> None:
        await infobase.call("GET", "carex/v1/ping", repeatable=True)
        await infobase.call("POST", "carex/v1/echo", {}, repeatable=False)

    with pytest.raises(Fail, match="Nobody knows"):
        with_base(connect, base, call_in_a_session)
    assert len(base.calls) == 1


def test_odatas_own_errors_leave_the_session_open(shop: Any, connect: Any) -> None:
    base = shop()

    async def miss_and_read(infobase: Any) -> None:
        await infobase.get(PARTNER)
        with pytest.raises(BpmnError):
            await infobase.get(f"{PARTNER}(guid'00000000-0000-0000-0000-000000000001')")
        await infobase.get(PARTNER)

    with_base(connect, base, miss_and_read)

    assert base.seats.opened == 1


@pytest.mark.parametrize("sessions", [1, 3])
def test_no_more_run_at_a_time_than_there_may_be_sessions(shop: Any, connect: Any, sessions: int) -> None:
    base = shop(licences=sessions)
    running: list[int] = []

    async def count() -> None:
        running.append(1)
        for _ in range(5):
            await asyncio.sleep(0)
            assert len(running) <= sessions
        running.pop()

    base.hold = count

    async def many(infobase: Any) -> None:
        await asyncio.gather(*(infobase.get(PARTNER) for _ in range(20)))

    with_base(connect, base, many, sessions=sessions)

    assert {each.status for each in base.log} == {200}
    assert base.seats.most <= sessions


def test_a_session_without_work_is_given_back(shop: Any, connect: Any) -> None:
    base = shop()

    async def read_and_rest(infobase: Any) -> None:
        await infobase.get(PARTNER)
        ended = asyncio.Event()

        async def told() -> None:
            ended.set()

        base.hold = told
        await asyncio.wait_for(ended.wait(), 5)

    with_base(connect, base, read_and_rest, session_idle=0.01)

    assert [each.headers.get("ibsession") for each in base.log] == ["start", "finish"]
    assert base.seats.in_use == 0


def test_a_session_whose_request_was_given_up_is_not_used_again(shop: Any, connect: Any) -> None:
    base = shop()

    async def give_up_and_read(infobase: Any) -> None:
        await infobase.get(PARTNER)
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
        await infobase.get(PARTNER)

    with_base(connect, base, give_up_and_read)

    assert base.seats.opened == 2


def test_a_task_waits_while_all_sessions_are_at_work(shop: Any, connect: Any) -> None:
    async def finish(session: Session) -> None: ...

    async def read(infobase: Any) -> None:
        infobase.sessions = Sessions(1, 15.0, finish, patience=0.01)
        async with infobase.sessions.one():
            await infobase.get(PARTNER)

    with pytest.raises(Wait, match="all sessions in 1C are at work"):
        with_base(connect, shop(), read)


def test_who_waits_too_long_for_a_session_is_told() -> None:
    async def finish(session: Session) -> None: ...

    async def scenario() -> None:
        sessions = Sessions(1, 15.0, finish, patience=0.01)
        async with sessions.one():
            with pytest.raises(Busy):
                async with sessions.one():
                    pass
        async with sessions.one():
            pass

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"licences": 0}, "406"),
        ({"licences": 0, "keeps_sessions": False}, "лицензии"),
    ],
)
def test_the_want_of_a_licence_is_waited_out_by_all(shop: Any, connect: Any, behaviour: Any, said: str) -> None:
    base = shop(**behaviour)

    async def two_tries(infobase: Any) -> list[Wait]:
        waits = []
        for _ in (1, 2):
            with pytest.raises(Wait) as outcome:
                await infobase.get(PARTNER)
            waits.append(outcome.value)
        return waits

    waits = with_base(connect, base, two_tries)

    assert all(said in each.reason and each.delay > 55 for each in waits)
    assert len(base.log) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "delay"),
    [
        (Fault(503, "Начало сеанса с информационной базой запрещено. Обновление", count=9), Wait, 60),
        (Fault(500, "Ошибка установки монопольной блокировки информационной базы", -1, count=9), Wait, 60),
        (Fault(500, "Конфликт блокировок при выполнении транзакции", -1), Wait, 30),
        (Fault(500, "Превышено максимальное время ожидания предоставления блокировки", -1), Wait, 30),
        (Fault(502), Wait, 5),
        (Fault(403, "Forbidden"), Wait, 60),
        (Fault(200, "Вход в систему"), Wait, 60),
        (Fault(404, "Not Found"), Wait, 60),
    ],
)
def test_what_is_nobodys_fault_costs_no_attempt(
    shop: Any, run: Any, fault: Fault, kind: type[Wait], delay: float
) -> None:
    base = shop()
    base.faults.append(fault)

    outcome = run(base, "1c_get", {"entity": PARTNER})

    assert isinstance(outcome, kind)
    assert outcome.delay == delay


def test_a_licence_in_an_accountants_words_shuts_nothing(shop: Any, run: Any) -> None:
    base = shop()
    base.entities[PARTNER].on_write = lambda row: "У контрагента закончилась лицензия на торговлю"

    outcome = run(base, "1c_sync_data", {"entity": PARTNER, "data": {"Description": "x"}})

    assert not isinstance(outcome, Wait)


def test_a_wrong_password_is_tried_once_a_minute_and_never_shown(shop: Any, run: Any, connect: Any) -> None:
    base = shop()

    async def two_tries(infobase: Any) -> Wait:
        for _ in (1, 2):
            with pytest.raises(Wait) as outcome:
                await infobase.get(PARTNER)
        return outcome.value

    wait = with_base(connect, base, two_tries, password="тайна-42")

    assert "plugins.onec.user" in wait.reason
    assert "тайна-42" not in wait.reason
    assert len(base.log) == 1
