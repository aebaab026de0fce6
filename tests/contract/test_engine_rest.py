"""Calls to servers that behave as no engine should, and to engines that want to know who calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from carex.camunda.answers import Verdict
from carex.camunda.engine import Engine, EngineError
from carex.errors import ConfigError
from carex.settings import CamundaSettings

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Odd:
    """A server of one answer; remembers who asked for what."""

    answer: Reply
    asked: list[web.Request] = field(default_factory=list)

    @asynccontextmanager
    async def engine(self, clock: Clock | None = None, **settings: Any):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        async with TestServer(app) as server:
            url = str(server.make_url("/engine-rest"))
            async with Engine(CamundaSettings(base_url=url, **settings), clock=clock or Clock()) as engine:
                yield engine

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.answer(request)

    @property
    def paths(self) -> list[str]:
        return [each.path.removeprefix("/engine-rest") for each in self.asked]


def says(status: int = 200, text: str = "", kind: str = "application/json", **headers: str) -> Reply:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=kind, headers=headers)

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    """Promise more than comes, and hang up."""
    response = web.StreamResponse(headers={"Content-Length": "100", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.close()
    return response


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def verdict_of(call: Awaitable[Any]) -> Verdict:
    with pytest.raises(EngineError) as caught:
        await call
    assert "s3cret" not in str(caught.value)
    return caught.value.answer.verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (says(200, "<html>Sign in</html>", "text/html"), Verdict.CONFIGURATION),
        (says(302, Location="/login"), Verdict.CONFIGURATION),
        (says(200, "OK", "text/plain"), Verdict.CONFIGURATION),
        (says(200, '{"status": "up"}'), Verdict.CONFIGURATION),
        (says(502, "<html>Bad gateway</html>", "text/html"), Verdict.OUTAGE),
        (cut, Verdict.OUTAGE),
    ],
)
def test_what_is_no_engine_or_a_broken_one_is_told_apart(answer, verdict):
    async def scenario():
        async with Odd(answer).engine() as engine:
            assert await verdict_of(engine.version()) is verdict

    asyncio.run(scenario())


def test_a_long_poll_that_never_ends_is_ended():
    async def scenario():
        async with Odd(hang).engine() as engine:
            poll = engine.fetch_and_lock(["t"], max_tasks=1, lock_ms=1000, wait_ms=100)
            assert await asyncio.wait_for(verdict_of(poll), 10) is Verdict.OUTAGE

    asyncio.run(scenario())


def test_a_redirect_does_not_carry_the_password_away():
    async def scenario():
        elsewhere = Odd(says(200, '{"version": "7"}'))
        async with elsewhere.engine() as other:
            odd = Odd(says(307, Location=f"{other.address}/version"))
            async with odd.engine(auth_token="s3cret") as engine:
                await verdict_of(engine.version())
        assert elsewhere.asked == []

    asyncio.run(scenario())


REFUSING = says(401, "")


def test_many_calls_with_a_wrong_password_are_one_try():
    async def scenario():
        odd = Odd(REFUSING)
        async with odd.engine(auth_username="u", auth_password="s3cret") as engine:
            verdicts = await asyncio.gather(*(verdict_of(engine.complete(str(n), "w")) for n in range(20)))
        assert set(verdicts) == {Verdict.CONFIGURATION}
        assert odd.paths == ["/version"]

    asyncio.run(scenario())


def test_after_a_refusal_five_seconds_pass_before_the_next_try():
    async def scenario():
        odd, clock = Odd(REFUSING), Clock()
        async with odd.engine(clock, auth_username="u", auth_password="s3cret") as engine:
            for clock.now in (100.0, 104.9, 105.0, 109.9):
                await verdict_of(engine.unlock("1"))
        assert odd.paths == ["/version"] * 2

    asyncio.run(scenario())


def test_a_password_that_stops_working_stops_the_calls():
    async def scenario():
        odd, clock = Odd(says(200, '{"version": "7"}')), Clock()
        async with odd.engine(clock, auth_username="u", auth_password="s3cret") as engine:
            await engine.unlock("1")
            odd.answer = REFUSING
            for clock.now in (200.0, 201.0, 206.0):
                await verdict_of(engine.unlock("1"))
        assert odd.paths == ["/version", "/external-task/1/unlock", "/external-task/1/unlock", "/version"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, None),
        ({"auth_username": "анна", "auth_password": "s3cret"}, "Basic 0LDQvdC90LA6czNjcmV0"),
        ({"auth_token": "s3cret"}, "Bearer s3cret"),
    ],
)
def test_credentials_are_shown_with_every_call(settings, header):
    async def scenario():
        odd = Odd(says(200, '{"version": "7"}'))
        async with odd.engine(**settings) as engine:
            await engine.version()
        assert {each.headers.get("Authorization") for each in odd.asked} == {header}

    asyncio.run(scenario())


def test_numbers_and_letters_arrive_as_they_are():
    async def scenario():
        bodies = []

        async def answer(request: web.Request) -> web.StreamResponse:
            bodies.append(await request.read())
            return web.Response(text='[{"value": 9007199254740993, "name": "Ж"}]', content_type="application/json")

        async with Odd(answer).engine() as engine:
            await engine.complete("1", "w", {"n": {"value": 2**53 + 1, "type": "Long"}, "s": "Ж"})
            assert await engine.external_tasks() == [{"value": 9007199254740993, "name": "Ж"}]
        assert b"9007199254740993" in bodies[0]
        assert "Ж".encode() in bodies[0]

    asyncio.run(scenario())


@pytest.mark.parametrize("value", [float("nan"), "\ud800", object()])
def test_what_is_not_json_is_refused_before_it_is_sent(value):
    async def scenario():
        odd = Odd(says())
        async with odd.engine() as engine:
            assert await verdict_of(engine.complete("1", "w", {"v": value})) is Verdict.BAD_INPUT
        assert odd.asked == []

    asyncio.run(scenario())


def test_an_id_cannot_lead_to_another_call():
    async def scenario():
        odd = Odd(says())
        async with odd.engine() as engine:
            await engine.unlock("../process-instance/7?x#")
        (request,) = odd.asked
        assert request.raw_path == "/engine-rest/external-task/..%2Fprocess-instance%2F7%3Fx%23/unlock"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "CAMUNDA_BASE_URL"),
        ({"base_url": "localhost:8080/engine-rest"}, "not the address"),
        ({"base_url": "ftp://u:s3cret@host/"}, "not the address"),
        ({"base_url": "http://host", "auth_token": "s3cret", "auth_username": "u"}, "Leave one of them out"),
    ],
)
def test_settings_that_name_no_engine_say_so(settings, said):
    with pytest.raises(ConfigError, match=said) as caught:
        Engine(CamundaSettings(**settings))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("flavour", ["operaton", "camunda"])
def test_an_engine_that_wants_a_password_takes_it_from_settings_or_the_address(flavour, start_engine):
    server = start_engine(flavour, auth=True)

    async def scenario():
        settings = CamundaSettings(base_url=server.url, auth_username="demo", auth_password="demo")
        in_address = CamundaSettings(base_url=server.url.replace("//", "//demo:demo@"))
        for each in (settings, in_address):
            async with Engine(each) as engine:
                assert await engine.fetch_and_lock(["nothing"], max_tasks=1, lock_ms=1000, wait_ms=100) == []
        async with Engine(CamundaSettings(base_url=server.url, auth_token="s3cret")) as engine:
            assert await verdict_of(engine.version()) is Verdict.CONFIGURATION

    asyncio.run(scenario())


def test_the_representation_of_an_engine_shows_no_password():
    engine = Engine(CamundaSettings(base_url="http://u:s3cret@host/engine-rest"))
    assert "s3cret" not in json.dumps([repr(engine), engine.address])
