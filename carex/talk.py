"""A child process that one talks to in lines, over its stdin and stdout, from an event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from functools import partial

from carex.nursery import Nursery, Started

LONGEST_LINE = 64 * 1024 * 1024
GONE = 0.5
"""Seconds that a process may take to end when it has nothing to read any more; then it is killed."""


class _Pipe(asyncio.BaseProtocol):
    """The way into its stdin; `closed` when all that was written is through, or nobody is there to read it."""

    closed = False

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True


class Talk:
    """What it says comes through `lines`, which end when it does, unless others that it started hold its stdout."""

    def __init__(
        self, process: Started, lines: asyncio.StreamReader, into: asyncio.WriteTransport, out: asyncio.ReadTransport
    ) -> None:
        self._process = process
        self.lines = lines
        self._into = into
        self._out = out

    @classmethod
    async def open(cls, nursery: Nursery, command: Sequence[str]) -> Talk:
        """Start a process. Raises OSError."""
        loop = asyncio.get_running_loop()
        stdin, our_end = os.pipe()
        its_end, stdout = os.pipe()
        into, _ = await loop.connect_write_pipe(_Pipe, os.fdopen(our_end, "wb", buffering=0))
        lines = asyncio.StreamReader(limit=LONGEST_LINE)
        protocol = asyncio.StreamReaderProtocol(lines)
        out, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(its_end, "rb", buffering=0))
        try:
            start = partial(nursery.start, command, stdin=stdin, stdout=stdout)
            return cls(await loop.run_in_executor(None, start), lines, into, out)
        except BaseException:
            into.abort()
            out.close()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def write(self, line: bytes) -> None:
        self._into.write(line)

    def hang_up(self) -> None:
        """Close its stdin, once all that was written is through."""
        self._into.close()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def end(self) -> int:
        """Hang up, and have it end: by itself, or killed. Its exit code."""
        self.hang_up()
        end = time.monotonic() + GONE
        while (code := self.code) is None:
            if time.monotonic() > end:
                self._process.kill()
            await asyncio.sleep(0.005)
        if not getattr(self._into.get_protocol(), "closed", True):
            self._into.abort()
        self._out.close()
        return code
