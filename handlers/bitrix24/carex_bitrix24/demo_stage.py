"""The processes of the demo: real `carex` commands in a home of their own, each ended by the id it was started with."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from carex.errors import CarexError

GRACE = 3.0
"""Seconds a process is given to stop before it is killed."""
LAST_LINES = 12
SECRET = "simulated"  # noqa: S105 - it opens nothing but the simulated portal
_CALLERS = ("CAREX_", "WEBHOOK_CAREX", "REDIS_URL", "LOG_LEVEL")
"""What steers the caller's own installation must not steer this one."""


class Child:
    """One `carex` process. What it says is in a file of the home."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, said: Path) -> None:
        self.name = name
        self._process = process
        self._said = said
        self._expected = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Raise CarexError with its last lines if it has ended though nobody told it to."""
        code = self._process.returncode
        if code is None or self._expected:
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        lines = "\n  ".join(self.said().splitlines()[-LAST_LINES:]) or "(nothing)"
        raise CarexError(
            f"carex {self.name} {how}. The last it said:\n  {lines}", "`carex demo --keep` keeps its logs."
        )

    async def kill(self) -> None:
        """SIGKILL: it has no time for anything."""
        self._expected = True
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """Stop it politely; kill it if it does not."""
        self._expected = True
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE)
        except asyncio.TimeoutError:
            await self.kill()


class Stage:
    """A home, with a server and a worker in it that know a portal on `port`, where nobody listens yet."""

    server: Child
    worker: Child

    def __init__(self, home: Path, port: int, rate: float, ledger: bool) -> None:
        self.home = home
        self.port = port
        self._env = {key: value for key, value in os.environ.items() if not key.startswith(_CALLERS)}
        self._env["WEBHOOK_CAREX"] = f"http://127.0.0.1:{port}/rest/1/{SECRET}/"
        self._env["CAREX_PLUGINS__BITRIX24__REQUESTS_PER_SECOND"] = str(rate)
        self._env["CAREX_PEOPLE__LEDGER"] = str(ledger).lower()
        self._children: list[Child] = []

    async def start_server(self) -> None:
        self.server = await self._start("serve", "--port", "0")

    async def start_worker(self) -> None:
        self.worker = await self._start("worker")

    def check(self) -> None:
        """Raise CarexError if one of them has died."""
        for child in self._children:
            child.check()

    async def end(self) -> None:
        await asyncio.gather(*(child.end() for child in self._children))

    async def _start(self, name: str, *options: str) -> Child:
        said = self.home / f"{name}-{len(self._children) + 1}.txt"
        with said.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "carex", "--home", str(self.home), name, *options),
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        child = Child(name, process, said)
        self._children.append(child)
        return child


@asynccontextmanager
async def open_stage(home: Path, *, rate: float, ledger: bool) -> AsyncIterator[Stage]:
    """Start a server and a worker in this home; whatever was started has ended when the `async with` is left.

    `rate` is how many requests a second the portal will allow.
    """
    with socket.socket() as reserved:
        # Bound, but not listening: nobody else is given the port, and the portal can still take it.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        stage = Stage(home, reserved.getsockname()[1], rate, ledger)
        try:
            await stage.start_worker()
            await stage.start_server()
            yield stage
        finally:
            await stage.end()
