"""On a real socket: addresses arrive as they were meant, connections break, and nothing secret is logged."""

import asyncio
import logging
import socket
from typing import Any

import pytest
from carex_onec import open_infobase, plugin
from carex_onec.settings import Settings
from carex_onec.simulator import Entity, Publication, serve

from carex import Done, Fail, Wait
from carex.testing import call

PARTNER = "Catalog_Контрагенты"


def published(**more: Any) -> Publication:
    return Publication(Entity(PARTNER, {"ИНН": "String(12)"}), **more)


async def attempt(base: Publication, type: str, payload: dict[str, Any], url: str, **more: Any) -> Any:
    given = Settings(url=url, user=base.user, password=base.password, **more)
    async with open_infobase(given) as infobase:
        return await call(plugin.handlers[type], payload, settings=given, client=infobase)


def test_cyrillic_names_spaces_and_slashes_arrive(caplog: pytest.LogCaptureFixture) -> None:
    base = published()
    base.add(PARTNER, Description="Рога / Копыта + 1", ИНН="7")
    asked = {"entity": PARTNER, "where": {"Description": "Рога / Копыта + 1"}, "filter": "ИНН eq '7'"}

    async def scenario() -> Any:
        async with serve(base) as url:
            return await attempt(base, "1c_get", asked, url)

    with caplog.at_level(logging.DEBUG):
        outcome = asyncio.run(scenario())

    assert isinstance(outcome, Done)
    assert outcome.result["count"] == 1
    assert base.password not in caplog.text


def test_an_object_is_written_and_read_again() -> None:
    base = published()
    data = {"Description": "Ромашка", "ИНН": "7"}

    async def scenario() -> Any:
        async with serve(base) as url:
            made = await attempt(base, "1c_sync_data", {"entity": PARTNER, "data": data, "match_by": "ИНН"}, url)
            return await attempt(base, "1c_get", {"entity": PARTNER, "key": made.result["key"]}, url)

    assert asyncio.run(scenario()).result["object"]["ИНН"] == "7"
    assert base.seats.in_use == 0


@pytest.mark.parametrize("repeatable", [True, False])
def test_where_nobody_listens_nothing_was_done(repeatable: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    asked = {"path": "x", "repeatable": repeatable}

    outcome = asyncio.run(attempt(published(), "1c_call_service", asked, f"http://127.0.0.1:{port}/base"))

    assert isinstance(outcome, Wait)


@pytest.mark.parametrize(("repeatable", "kind"), [(True, "Wait"), (False, "Fail")])
def test_a_connection_that_breaks_may_have_been_an_answer(repeatable: bool, kind: str) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def scenario() -> Any:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base"
            return await attempt(published(), "1c_call_service", {"path": "x", "repeatable": repeatable}, url)

    assert type(asyncio.run(scenario())).__name__ == kind


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_must_not_be_done_twice_is_sent_once_although_the_connection_breaks(method: str) -> None:
    asked: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async def scenario() -> Any:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base"
            return await attempt(published(), "1c_call_service", {"path": "x", "method": method}, url)

    outcome = asyncio.run(scenario())

    assert isinstance(outcome, Fail)
    assert "Nobody knows" in outcome.reason
    assert len(asked) == 1


def test_no_session_is_opened_with_the_cookie_of_another() -> None:
    base = published()

    async def scenario() -> None:
        async with serve(base) as url:
            # A host with a name: cookies of addresses are kept by nobody anyway.
            given = Settings(
                url=url.replace("127.0.0.1", "localhost"), user=base.user, password=base.password, sessions=2
            )
            async with open_infobase(given) as infobase:
                await infobase.get(PARTNER)
                await asyncio.gather(infobase.get(PARTNER), infobase.get(PARTNER))

    asyncio.run(scenario())

    openings = [each.headers.get("cookie") for each in base.log if each.headers.get("ibsession") == "start"]
    assert openings == [None, None]
    assert base.seats.in_use == 0


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def scenario() -> Any:
        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base"
            return await attempt(published(), "1c_get", {"entity": PARTNER}, url, timeout=0.2)

    outcome = asyncio.run(scenario())

    assert isinstance(outcome, Wait)
    assert "no answer within 0.2 s" in outcome.reason


def test_nothing_is_sent_where_nothing_is_set_up() -> None:
    outcome = asyncio.run(call(plugin.handlers["1c_get"], {"entity": PARTNER}))

    assert isinstance(outcome, Wait)
    assert "plugins.onec needs url" in outcome.reason
