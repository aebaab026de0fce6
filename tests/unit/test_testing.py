"""`carex.testing`: what the tests of plugins are written with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from carex import Context, Done, Fail, Plugin, Retry
from carex.testing import Clock, Outcome, call, employees


class Settings(BaseModel, extra="forbid"):
    word: str = "nothing"


class Line:
    """A client that knows whether it is open."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.open = True


opened: list[Line] = []


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Line]:
    opened.append(line := Line(settings.word))
    yield line
    line.open = False


plugin = Plugin("under_test", settings=Settings, client=connect)


@plugin.handler("word")
async def word(payload: dict[str, Any], ctx: Context) -> list[Any]:
    return [ctx.settings.word, ctx.client.word, ctx.client.open]


@plugin.handler("ask")
async def ask(payload: dict[str, Any], ctx: Context) -> str:
    return (await ctx.http.get("https://nowhere.example/")).text


@plugin.handler("about")
def about(payload: dict[str, Any], ctx: Context) -> list[Any]:
    return [ctx.task.id, ctx.task.attempt, payload]


@plugin.handler("choose")
async def choose(payload: dict[str, int], ctx: Context) -> str:
    return (await ctx.people.decide(ctx.task, f"deal:{payload['id']}")).user_name


def called(type: str, payload: Any = None, **more: Any) -> Outcome:
    return asyncio.run(call(plugin.handlers[type], payload, **more))


def test_the_plugins_client_is_opened_with_the_settings_and_closed() -> None:
    assert called("word", settings={"word": "hi"}) == Done(["hi", "hi", True])
    assert not opened[-1].open


def test_a_given_client_is_used_instead() -> None:
    assert called("word", client=Line("mine")) == Done(["nothing", "mine", True])


def test_settings_may_be_an_instance() -> None:
    assert called("word", settings=Settings(word="hi")) == Done(["hi", "hi", True])


def test_settings_are_checked_as_those_of_carex_toml() -> None:
    with pytest.raises(ValidationError, match="wrod"):
        called("word", settings={"wrod": "hi"})


def test_http_goes_through_the_transport() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=request.url.host))
    assert called("ask", transport=transport) == Done("nowhere.example")


def test_without_a_transport_nothing_goes_out() -> None:
    outcome = called("ask")
    assert isinstance(outcome, Retry)
    assert "no HTTP client" in outcome.reason


def test_the_task_is_as_told() -> None:
    assert called("about", {"a": (1, 2)}, id="7", attempt=3) == Done(["7", 3, {"a": [1, 2]}])


def test_a_payload_that_no_queue_would_take_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        called("about", {"a": object()})


def test_a_payload_that_does_not_fit_is_a_failure() -> None:
    outcome = called("choose", {"id": "x"})
    assert isinstance(outcome, Fail)
    assert outcome.reason.startswith("id: ")


def test_a_function_that_is_no_handler_is_named() -> None:
    with pytest.raises(TypeError, match=r'plugin.handlers\["TYPE"\]'):
        asyncio.run(call(word, {}))  # type: ignore[arg-type]


def test_employees_are_given_work_and_keep_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with employees(tmp_path, "Anna", "Boris", "Vera") as people:
            outcomes = [await call(plugin.handlers["choose"], {"id": 1}, people=people) for _ in range(5)]
            assert len({str(outcome) for outcome in outcomes}) == 1

    asyncio.run(scenario())


def test_a_clock_moves_when_told(tmp_path: Path) -> None:
    clock = Clock(1000.0)

    async def scenario() -> None:
        async with employees(tmp_path, "Anna", clock=clock) as people:
            await call(plugin.handlers["choose"], {"id": 1}, people=people)
            clock.advance(50.0)
            await call(plugin.handlers["choose"], {"id": 2}, people=people)
            assert [each.decided_at for each in await people.decisions()] == [1050.0, 1000.0]

    asyncio.run(scenario())
