"""Keeps processes alive: restarts a child that dies, passes signals on, and takes them all along when it ends."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Collection, Sequence

from loguru import logger

LONGEST_PAUSE = 30.0
HOPELESS = (2, 3)
"""Exit codes of a child that would end the same way again: usage, configuration."""


class Child:
    """One process that is started again when it dies, at growing intervals if it does not come up."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._failures = 0
        self._again_at = 0.0
        self._start()

    def _start(self) -> None:
        # It holds the reading end of a pipe and stops when we, the writing end, are gone, however suddenly.
        # A session of its own: Ctrl-C is for us, and we pass it on once.
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
        self._down = False

    def tend(self, up: Collection[int]) -> None:
        """Look after it: notice a death, and restart it, after a pause if it had not even come up."""
        now = time.monotonic()
        code = self.process.poll()
        if code is None:
            return
        if not self._down:
            self._down = True
            self._failures = 0 if self.process.pid in up else self._failures + 1
            pause = min(LONGEST_PAUSE, 0.1 * 2**self._failures) if self._failures else 0.0
            self._again_at = now + pause
            logger.error("Process {} died ({}); restarting in {:.1f} s", self.process.pid, _manner(code), pause)
        if now >= self._again_at:
            self._start()

    def stop(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)


def supervise(
    command: Sequence[str],
    processes: int,
    signals: list[int],
    grace: float,
    *,
    once: bool = False,
    ready: Callable[[], Collection[int]],
) -> int:
    """Run so many copies of a command until `signals`, which the caller's signal handlers fill, is not empty.

    The first signal is passed on as SIGTERM, and so is a second; after `grace` seconds the children are killed.
    With `once` a child that ends well is not started again, and all of them having done so is the end.
    `ready` is called many times a second, up to the end; it gives the ids of the processes that have come up.
    Returns 0 if all ended well, 1 if not, and with `once` the code of a child that cannot even start.
    """
    children = [Child(command) for _ in range(processes)]
    while not signals:
        up = ready()
        for child in children:
            if not (once and child.process.poll() == 0):
                child.tend(up)
        codes = [child.process.poll() for child in children] if once else []
        if once and all(code == 0 for code in codes):
            return 0
        if hopeless := [code for code in codes if code in HOPELESS]:
            signals.append(signal.SIGTERM)
            _end(children, signals, grace, ready)
            return hopeless[0]
        time.sleep(0.05)
    return _end(children, signals, grace, ready)


def _end(children: Sequence[Child], signals: list[int], grace: float, ready: Callable[[], object]) -> int:
    """Stop the children; return 0 if all ended well, 1 if not."""
    end, passed = time.monotonic() + grace, 0
    while any(child.process.poll() is None for child in children):
        ready()
        late = time.monotonic() > end
        if len(signals) > passed or late:
            passed = len(signals)
            for child in children:
                child.stop(signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.05)
    return int(any(child.process.returncode for child in children))


def _manner(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
