"""Keeps processes alive: restarts a child that dies, passes signals on, and takes them all along when it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from loguru import logger

from carex.notify import HURRY, Listener
from carex.nursery import Nursery

LONGEST_PAUSE = 30.0
HOPELESS = (2, 3)
"""Exit codes of a child that would end the same way again: usage, configuration."""


class Child:
    """One process that is started again when it dies, at growing intervals if it does not come up.

    One that gives no sign of life for `patience` seconds is ended, unless somebody has stopped it (SIGSTOP): a handler
    may have frozen it, with the lock of the queue's file in its hand.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], news: Listener, patience: float, nursery: Nursery
    ) -> None:
        self._command = command
        self._env = {**env, **news.environment(patience / 3)}
        self._news = news
        self._patience = patience
        self._nursery = nursery
        self._failures = 0
        self._again_at = 0.0
        self._line = -1
        self._start()

    def _start(self) -> None:
        """It holds the reading end of a pipe and stops when we, the writing end, are gone, however suddenly.

        It has a session of its own: Ctrl-C is for us, and we pass it on once.
        """
        if self._line >= 0:
            os.close(self._line)
        theirs, self._line = os.pipe()
        self.process = self._nursery.start(self._command, stdin=theirs, env=self._env)
        os.close(theirs)
        self._down = False

    @property
    def ended_well(self) -> bool:
        """Whether it said that it would end, and did: a handler may end its process with code 0, too."""
        return self.process.poll() == 0 and self.process.pid in self._news.stopping

    def tend(self) -> None:
        """Look after it: notice a death, and restart it, after a pause if it had not even come up."""
        now = time.monotonic()
        code = self.process.poll()
        if code is None:
            silent = self._news.silent(self.process.pid)
            if silent > self._patience and _is_stopped(self.process.pid):
                self._news.excuse(self.process.pid)
            elif silent > self._patience:
                logger.error("Process {} gives no sign of life for {:.0f} s: ending it", self.process.pid, silent)
                self.process.kill()
            return
        if not self._down:
            self._down = True
            self._failures = 0 if self.process.pid in self._news.ready else self._failures + 1
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
    *,
    env: Mapping[str, str],
    grace: float,
    patience: float,
    nursery: Nursery,
    once: bool = False,
    turn: Callable[[Listener], None] = lambda news: None,
) -> int:
    """Run so many copies of a command, in the environment `env`, until there is something in `signals`.

    Those are for the caller's signal handlers to fill.
    The first signal is passed on as SIGTERM, a second as HURRY; after `grace` seconds the children are killed, and when
    they run, after `patience` seconds without a sign of life.
    With `once` a child that ends well is not started again, and all of them having done so is the end.
    `turn` is called many times a second, up to the end, with what is known of the children.
    Returns 0 if all ended well, 1 if not, and with `once` the code of a child that cannot even start.
    """
    news = Listener()
    children = [Child(command, env, news, patience, nursery) for _ in range(processes)]

    def look() -> None:
        news.hear()
        turn(news)
        nursery.rest(0.05)

    while not signals:
        look()
        for child in children:
            if not (once and child.ended_well):
                child.tend()
        codes = [child.process.poll() for child in children] if once else []
        if once and all(child.ended_well for child in children):
            return 0
        if hopeless := [code for code in codes if code in HOPELESS]:
            signals.append(signal.SIGTERM)
            _end(children, signals, grace, look)
            return hopeless[0]
    return _end(children, signals, grace, look)


def _end(children: Sequence[Child], signals: list[int], grace: float, look: Callable[[], None]) -> int:
    """Stop the children; return 0 if all ended well, 1 if not."""
    end, passed = time.monotonic() + grace, 0
    while any(child.process.poll() is None for child in children):
        late = time.monotonic() > end
        if len(signals) > passed or late:
            number = signal.SIGKILL if late else HURRY if passed else signal.SIGTERM
            passed = len(signals)
            for child in children:
                child.stop(number)
        look()
    return int(any(child.process.returncode for child in children))


def _is_stopped(process: int) -> bool:
    """Whether somebody has sent it SIGSTOP; then its tasks go to others, and it may go on when it is let."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state in "Tt"


def _manner(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
