"""Handlers of every temperament. Each writes a line to the file in its payload when it starts: its trace."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from carex import BpmnError, Context, Fail, Plugin, Retry, Wait

plugin = Plugin("zoo")


@dataclass
class Animal:
    trace: str = ""
    n: int = 0
    seconds: float = 0.0
    signal: int = signal.SIGSEGV

    def leave_trace(self, ctx: Context) -> None:
        if self.trace:
            with Path(self.trace).open("a") as file:
                file.write(f"{self.n} {ctx.task.attempt} {os.getpid()} {time.time()}\n")


@plugin.handler("zoo_tame")
async def tame(animal: Animal, ctx: Context) -> dict[str, int]:
    """Does as it is told."""
    animal.leave_trace(ctx)
    await asyncio.sleep(animal.seconds)
    return {"n": animal.n}


@plugin.handler("zoo_learning")
async def learning(animal: Animal, ctx: Context) -> None:
    """Is slow at its first attempt only."""
    animal.leave_trace(ctx)
    await asyncio.sleep(animal.seconds if ctx.task.attempt == 1 else 0)


@plugin.handler("zoo_sync")
def sync(animal: Animal, ctx: Context) -> int:
    animal.leave_trace(ctx)
    time.sleep(animal.seconds)
    return animal.n


@plugin.handler("zoo_raising", attempts=2)
async def raising(animal: Animal, ctx: Context) -> None:
    animal.leave_trace(ctx)
    raise RuntimeError("it bites")


@plugin.handler("zoo_exiting", attempts=1)
async def exiting(animal: Animal, ctx: Context) -> None:
    raise SystemExit(3)


@plugin.handler("zoo_retrying", attempts=3)
async def retrying(animal: Animal, ctx: Context) -> str:
    animal.leave_trace(ctx)
    if ctx.task.attempt < 3:
        raise Retry("not yet", delay=0.05)
    return "at last"


@plugin.handler("zoo_waiting")
async def waiting(animal: Animal, ctx: Context) -> None:
    raise Wait("the zoo is closed", delay=60)


@plugin.handler("zoo_failing")
async def failing(animal: Animal, ctx: Context) -> None:
    raise Fail("never again")


@plugin.handler("zoo_erring")
async def erring(animal: Animal, ctx: Context) -> None:
    raise BpmnError("NO_FODDER", "the shop is closed", {"amount": 7})


@plugin.handler("zoo_hanging", attempts=1, timeout=0.3)
async def hanging(animal: Animal, ctx: Context) -> None:
    animal.leave_trace(ctx)
    await asyncio.sleep(3600)


@plugin.handler("zoo_sync_hanging", attempts=1, timeout=0.3)
def sync_hanging(animal: Animal, ctx: Context) -> None:
    time.sleep(3600)


@plugin.handler("zoo_blocking", attempts=1, timeout=1.0)
async def blocking(animal: Animal, ctx: Context) -> None:
    animal.leave_trace(ctx)
    time.sleep(20)  # noqa: ASYNC251 - that is its vice


@plugin.handler("zoo_stubborn", attempts=1, timeout=120.0)
async def stubborn(animal: Animal, ctx: Context) -> None:
    """Holds its event loop up, for as long as it may."""
    animal.leave_trace(ctx)
    time.sleep(animal.seconds)  # noqa: ASYNC251 - that is its vice


@plugin.handler("zoo_poison", attempts=20)
async def poison(animal: Animal, ctx: Context) -> None:
    """Takes its process with it."""
    animal.leave_trace(ctx)
    await asyncio.sleep(animal.seconds)
    os.kill(os.getpid(), animal.signal)


@plugin.handler("zoo_breaking", attempts=20)
async def breaking(animal: Animal, ctx: Context) -> None:
    """Reads where no memory is, as a faulty extension in C does."""
    ctypes.string_at(8)


@plugin.handler("zoo_sync_breaking", attempts=20)
def sync_breaking(animal: Animal, ctx: Context) -> None:
    ctypes.string_at(8)


@plugin.handler("zoo_freezing", attempts=20)
async def freezing(animal: Animal, ctx: Context) -> None:
    """Holds the interpreter's lock for good: not even the threads beside it go on."""
    animal.leave_trace(ctx)
    re.match(r"(a+)+$", "a" * 60 + "b")


@plugin.handler("zoo_unspeakable")
async def unspeakable(animal: Animal, ctx: Context) -> object:
    return object()
