"""A simulated OpenProject with one project, and attempts at tasks as a worker makes them."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from carex_openproject import Settings, plugin
from carex_openproject.client import OpenProject
from carex_openproject.simulator import Instance
from loguru import logger

from carex.task import Outcome
from carex.testing import call

Attempt = Callable[..., Outcome]


@pytest.fixture
def instance() -> Instance:
    made = Instance()
    made.add_project("Demo", "demo")
    return made


@pytest.fixture
def settings(instance: Instance) -> dict[str, Any]:
    return {"url": "http://openproject.example", "token": instance.token, "settle": 0.0}


@pytest.fixture
def attempt(instance: Instance, settings: dict[str, Any]) -> Attempt:
    """One attempt at a task, with no sockets."""

    def make(type: str, payload: dict[str, Any], *, id: str = "task-1", attempt: int = 1, **more: Any) -> Outcome:
        people = more.pop("people", None)
        given = Settings.model_validate({**settings, **more})

        async def scenario() -> Outcome:
            async with OpenProject(given, transport=httpx.ASGITransport(instance.asgi())) as client:
                handler = plugin.handlers[type]
                return await call(
                    handler, payload, settings=given, client=client, people=people, id=id, attempt=attempt
                )

        return asyncio.run(scenario())

    return make


@pytest.fixture
def asking(instance: Instance, settings: dict[str, Any]) -> Callable[..., Any]:
    """Let a coroutine function have a client, and return what it returns."""

    def run(function: Callable[[OpenProject], Any], **more: Any) -> Any:
        given = Settings.model_validate({**settings, **more})

        async def scenario() -> Any:
            async with OpenProject(given, transport=httpx.ASGITransport(instance.asgi())) as client:
                return await function(client)

        return asyncio.run(scenario())

    return run


@pytest.fixture
def rest(instance: Instance) -> Callable[..., httpx.Response]:
    """A plain HTTP request to the simulated API."""

    def send(method: str, path: str, **more: Any) -> httpx.Response:
        more.setdefault("auth", ("apikey", instance.token))

        async def scenario() -> httpx.Response:
            transport = httpx.ASGITransport(instance.asgi())
            async with httpx.AsyncClient(transport=transport, base_url="http://openproject.example/api/v3") as http:
                return await http.request(method, path, **more)

        return asyncio.run(scenario())

    return send


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged during the test, tracebacks with their variables included."""
    written: list[str] = []
    sink = logger.add(written.append, level="TRACE", format="{level} {message}", backtrace=True, diagnose=True)
    yield written
    logger.remove(sink)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
