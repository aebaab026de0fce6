"""What systemd is told by a process that it started (`sd_notify`): ready, alive, stopping, and a line for `status`.

`alive` has to come from where it is true. The server and the bridge say it from the event loop that does their work. A
worker says it from the loop that claims, settles and prolongs leases, not from that of the handlers: a handler that
blocks its own loop is given up by the worker itself, and is no reason to end everybody else's work. But when the
worker's loop stands still, its leases run out and others take its tasks, so that it may as well be killed. The parent
of several workers says it from the loop in which it looks after them; a child that hangs loses its tasks to the others.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

HURRY = signal.SIGUSR2
"""From a parent to a child that is finishing what it runs: give it back now. SIGTERM may have come to both of them."""
LONGEST_PAUSE = 1.0
"""Seconds without a look at the children after which we were frozen ourselves, and they perhaps with us."""
CREDENTIALS = struct.Struct("3i")
"""Who sent a datagram, as Linux tells it: process, user, group (see unix(7))."""
LONGEST_SEND = 1.0
"""Seconds that a message may wait for room in systemd's queue."""


class Notifier:
    """Sends to the datagram socket that `NOTIFY_SOCKET` names; without one, every method does nothing."""

    def __init__(
        self, address: str = "", watchdog: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`address`: a path, or `@name` in the abstract namespace. After `watchdog` seconds of silence we are dead."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every = watchdog / 2
        self._clock = clock
        self._due = -math.inf
        self._ready = self._stopping = False

    def ready(self, status: str) -> None:
        """The start is over. Said once, and not any more when we are stopping."""
        if not (self._ready or self._stopping):
            self._ready = True
            self._send("READY=1", f"STATUS={status}")

    def alive(self, status: str = "") -> None:
        """Call it as often as you like: it is said twice in each watchdog's time, and never without a watchdog."""
        now = self._clock()
        if now >= self._due and self._every < math.inf:
            self._due = now + self._every
            self._send("WATCHDOG=1", *([f"STATUS={status}"] if status and self._ready and not self._stopping else []))

    async def beat(self, status: Callable[[], str]) -> None:
        """Say `alive` for as long as this loop turns; to be cancelled."""
        while self._every < math.inf:
            self.alive(status())
            await asyncio.sleep(self._every / 4)

    def stopping(self) -> None:
        """We were told to stop, and finish what runs."""
        if not self._stopping:
            self._stopping = True
            self._send("STOPPING=1", "STATUS=Finishing what runs")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(LONGEST_SEND)
            out.sendto("\n".join(lines).encode(), self._address)


class Listener:
    """The other end, for the parent of processes that use `Notifier`. `ready` and `stopping` are those that said so."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # Linux gives it a free name in the abstract namespace
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._heard: dict[int, float] = {}
        self._looked = time.monotonic()
        self.ready: set[int] = set()
        self.stopping: set[int] = set()

    def environment(self, watchdog: float) -> dict[str, str]:
        """What the children need to find us, and to give a sign of life at least every so many seconds."""
        name: bytes = self._socket.getsockname()
        return {"NOTIFY_SOCKET": f"@{name[1:].decode()}", "WATCHDOG_USEC": str(int(watchdog * 1e6))}

    def hear(self) -> None:
        """Take note of what came in the meantime; to be called all the time. After a pause of ours all are excused."""
        now = time.monotonic()
        if now - self._looked > LONGEST_PAUSE:
            self._heard = dict.fromkeys(self._heard, now)
        self._looked = now
        with suppress(BlockingIOError):
            while True:
                message, [(_, _, sender)], *_ = self._socket.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
                process, lines = CREDENTIALS.unpack(sender)[0], message.splitlines()
                self._heard[process] = now
                for said, those in ((b"READY=1", self.ready), (b"STOPPING=1", self.stopping)):
                    if said in lines:
                        those.add(process)

    def excuse(self, process: int) -> None:
        """Begin anew to wait for its sign of life."""
        self._heard[process] = time.monotonic()

    def silent(self, process: int) -> float:
        """Seconds since it gave a sign of life; 0 if it never has."""
        return time.monotonic() - self._heard[process] if process in self._heard else 0.0
