"""Handlers that tell their secret to everybody, each in its own way. None of them prints."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import warnings
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from carex import BpmnError, Call, Context, Fail, Finding, Plugin, Task, Wait


class Settings(BaseModel):
    key: SecretStr = SecretStr("none")


class Client:
    """As many libraries' clients: its `repr` has everything in it."""

    def __init__(self, settings: Settings) -> None:
        self.key = settings.key.get_secret_value()

    def __repr__(self) -> str:
        return f"Client(key={self.key!r})"

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None: ...


plugin = Plugin("leaky", settings=Settings, client=Client)


@dataclass
class Way:
    how: str = ""


@plugin.handler("leaky", attempts=1, timeout=5.0)
async def leak(way: Way, ctx: Context) -> Any:
    """Tell everybody."""
    client = ctx.client
    basic = b64encode(f"user:{client.key}".encode()).decode()
    if way.how == "raise":
        raise RuntimeError(f"{client!r} failed")
    if way.how == "chain":
        try:
            raise ValueError(client)
        except ValueError as error:
            raise KeyError(f"Authorization: Basic {basic}") from error
    if way.how == "fail":
        raise Fail(f"at https://host/{quote(client.key, safe='')}/x")
    if way.how == "wait":
        raise Wait(f"for {client.key}", delay=60)
    if way.how == "bpmn":
        raise BpmnError("NO", client.key, {"headers": {"Authorization": f"Basic {basic}"}, client.key: [client.key]})
    if way.how == "return":
        return {"client": repr(client), "deep": [{"Authorization": f"Basic {basic}"}], client.key: 1}
    if way.how == "log":
        ctx.log.debug("with {}", client)
        ctx.log.bind(client=client).info("bound")
        logging.getLogger("some.library").warning("Basic %s", basic)
        warnings.warn(f"deprecated: {client!r}", stacklevel=1)
    if way.how == "task":
        _failing = asyncio.create_task(_fail(client))  # noqa: RUF006 - that nobody asks how it ended is the point
        await asyncio.sleep(0.05)
    if way.how == "thread":
        threading.Thread(target=_raise, args=(client,)).start()
    if way.how == "unraisable":
        Unraisable(client)
    if way.how == "loop":
        asyncio.get_running_loop().call_soon(_raise, client)
        await asyncio.sleep(0.05)
    if way.how == "exit":
        raise SystemExit(f"with {client!r}")
    if way.how == "kill":
        os.kill(os.getpid(), signal.SIGSEGV)
    return None


class Unraisable:
    def __init__(self, client: Client) -> None:
        self.client = client

    def __del__(self) -> None:
        raise RuntimeError(f"{self.client!r} at the end")


async def _fail(client: Client) -> None:
    raise RuntimeError(f"{client!r} in a task")


def _raise(client: Client) -> None:
    raise RuntimeError(f"{client!r} in a thread")


@plugin.webhook("/Leak")
def leaking(call: Call, settings: Settings) -> Task:
    """Tell the log."""
    raise RuntimeError(f"nobody expects {settings.key.get_secret_value()}")


@plugin.check
async def check(client: Client) -> list[Finding]:
    """Tell doctor."""
    raise RuntimeError(f"not with {client!r}")
