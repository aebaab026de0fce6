"""Processes that never outlive the one that started them."""

from __future__ import annotations

import contextlib
import functools
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


class Missing(Exception):
    """What a server needs is not on this machine; the text says what, and what it is for."""


def require(*programs: str, purpose: str) -> None:
    """Raise `Missing` unless all these programs are on the path."""
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        raise Missing(f"{' and '.join(absent)} not found on the path, needed {purpose}")


def free_port(usual: int = 0) -> int:
    """The usual port if nobody has it, else any free one.

    Below the range from which Linux gives ports to clients: a port stays free for its server while that is down.
    """
    candidates = [usual] if usual else []
    while True:
        port = candidates.pop() if candidates else random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@functools.cache
def _spawner() -> ThreadPoolExecutor:
    # Linux counts the thread that started a process as its parent: this one lives as long as we do.
    return ThreadPoolExecutor(1, "spawner")


def spawn(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program whose words are added to `log`, and which is killed when this process ends, however it ends.

    Its children are not: start it so that it becomes the server (`exec`) and has none that stay.
    """
    prefix = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as said:
            return subprocess.Popen(
                [*prefix, *command], env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )

    return _spawner().submit(start).result()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Return when it is ready. RuntimeError, with the end of the log, if the process ended or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            end = log.read_text(errors="replace")[-3000:]
            problem = "ended at its start" if ended else f"is not ready after {seconds:g} s"
            raise RuntimeError(f"{process.args!r} {problem}. The end of {log}:\n{end}")
        time.sleep(0.02)
