"""The plugins' clients: opened side by side, closed by who opened them, and nobody's failure is another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from loguru import logger

from carex import Context, Plugin
from carex.executor import Executor
from carex.people import open_people
from carex.queue import Delivery
from carex.registry import Loaded, Registry
from carex.settings import load
from carex.task import Done, Task, Wait


@asynccontextmanager
async def started(
    home: Path, *plugins: Plugin, patience: float = 10.0, ready: Callable[[], None] = lambda: None
) -> AsyncIterator[Executor]:
    """An executor with these plugins."""
    people = open_people(home / "people.db")
    registry = Registry([Loaded(each, "test 1") for each in plugins])
    found = Executor(load(home, None, {}, environ={}), registry, people, 1, ready)
    await found.start(patience)
    try:
        yield found
    finally:
        await found.stop()
        await people.close()


class Meeting:
    """A client that opens only together with another one."""

    def __init__(self) -> None:
        self.here = 0
        self.all = asyncio.Event()

    @asynccontextmanager
    async def client(self, settings: None) -> AsyncIterator[None]:
        self.here += 1
        if self.here == 2:
            self.all.set()
        await asyncio.wait_for(self.all.wait(), 5)
        yield


@asynccontextmanager
async def with_tasks_of_its_own(settings: None) -> AsyncIterator[str]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        yield "open"
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def bad_at_closing(settings: None) -> AsyncIterator[None]:
    yield
    raise RuntimeError("it is stuck")


class Odd:
    """Nothing that pydantic knows."""


async def odd(payload: Odd, ctx: Context) -> None: ...


def test_clients_open_side_by_side(tmp_path: Path) -> None:
    async def scenario() -> None:
        meeting = Meeting()
        async with started(tmp_path, Plugin("a", client=meeting.client), Plugin("b", client=meeting.client)) as found:
            assert found.refused == {}

    asyncio.run(scenario())


def test_a_client_that_hangs_holds_nobody_up_and_is_taken_in_when_it_opens(tmp_path: Path) -> None:
    gate, said = threading.Event(), threading.Event()

    @asynccontextmanager
    async def hanging(settings: None) -> AsyncIterator[None]:
        await asyncio.to_thread(gate.wait, 5)
        yield

    async def scenario() -> None:
        async with started(tmp_path, Plugin("late", client=hanging), Plugin("quick"), patience=0.5) as found:
            assert found.refused == {"late": "its client is not open yet"}
            gate.set()
            assert await asyncio.to_thread(said.wait, 5)
            assert found.refused == {}

    sink = logger.add(lambda message: said.set() if "Plugin late is set up now" in message else None)
    asyncio.run(scenario())
    logger.remove(sink)


def test_clients_with_tasks_of_their_own_are_closed_where_they_were_opened(tmp_path: Path) -> None:
    said: list[str] = []

    async def scenario() -> None:
        plugins = [Plugin(name, client=with_tasks_of_its_own) for name in "abc"]
        async with started(tmp_path, *plugins) as found:
            assert found.refused == {}

    sink = logger.add(lambda message: said.append(str(message)), level="WARNING")
    asyncio.run(scenario())
    logger.remove(sink)
    assert said == []


def test_a_client_that_fails_as_it_closes_is_named(tmp_path: Path) -> None:
    said: list[str] = []

    async def scenario() -> None:
        async with started(tmp_path, Plugin("sticky", client=bad_at_closing)):
            pass

    sink = logger.add(lambda message: said.append(str(message)), level="ERROR")
    asyncio.run(scenario())
    logger.remove(sink)
    assert "Plugin sticky: its client failed, or could not be closed" in said[0]


def test_what_has_not_begun_when_it_stops_is_given_back(tmp_path: Path) -> None:
    began, go_on = threading.Event(), threading.Event()
    plugin = Plugin("a")

    @plugin.handler("blocking")
    async def blocking(payload: dict[str, Any], ctx: Context) -> None:
        began.set()
        go_on.wait(10)

    async def scenario() -> dict[str, Any]:
        async with started(tmp_path, plugin) as found:
            found.submit([Delivery(Task("blocking", {"n": n}, id=str(n)), n, "me", 0, 0.0) for n in range(3)])
            await asyncio.get_running_loop().run_in_executor(None, began.wait, 10)
            asyncio.get_running_loop().call_soon(go_on.set)
        return {result.delivery.task.id: result.outcome for result in found.take()}

    outcomes = asyncio.run(scenario())
    assert isinstance(outcomes.pop("0"), Done)
    assert [outcomes[each].reason for each in ("1", "2")] == ["the worker was stopped"] * 2


def test_a_task_whose_plugin_is_not_set_up_waits(tmp_path: Path) -> None:
    @asynccontextmanager
    async def never_open(settings: None) -> AsyncIterator[None]:
        raise OSError("the gate is shut")
        yield

    plugin = Plugin("a", client=never_open)

    @plugin.handler("eager", attempts=1)
    async def eager(payload: dict[str, Any], ctx: Context) -> None: ...

    async def scenario() -> Any:
        ready = asyncio.Event()
        async with started(tmp_path, plugin, ready=ready.set) as found:
            found.submit([Delivery(Task("eager"), 1, "me", 0, 0.0)])
            await ready.wait()
            return found.take()[0].outcome

    outcome = asyncio.run(asyncio.wait_for(scenario(), 10))
    assert (type(outcome), outcome.reason) == (Wait, "the gate is shut")


def test_a_plugin_whose_payload_cannot_be_read_is_refused_and_its_tasks_wait(tmp_path: Path) -> None:
    plugin = Plugin("odd")
    plugin.handler("odd")(odd)

    async def scenario() -> dict[str, Any]:
        async with started(tmp_path, plugin, Plugin("even")) as found:
            return dict(found.refused)

    refused = asyncio.run(scenario())
    assert [*refused] == ["odd"]
