"""A process's place among those that share a queue file: its proof of life, and how it is woken.

The proof is an `flock`: the kernel drops it at death, however sudden, whereas a process id may be a zombie's or
somebody else's by now. The wake-up is a datagram to a socket beside it, so that nobody has to poll for new tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path


class Presence:
    """One holder: `DIR/ID.lock`, locked while it lives, and `DIR/ID.sock`, where it is woken."""

    def __init__(self, folder: Path, types: Sequence[str] = ()) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        sweep(folder)
        host = "".join(c for c in socket.gethostname()[:16] if c.isalnum() or c == "-")
        self.id = f"{host}-{os.getpid()}-{os.urandom(2).hex()}"
        self._lock = folder / f"{self.id}.lock"
        unlocked = folder / f"{self.id}.new"
        self._lock_fd = os.open(unlocked, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):  # only for people to read
            os.write(self._lock_fd, "\n".join(types).encode())
        unlocked.rename(self._lock)  # only now: a lock file is never seen free while its owner lives
        _keep_from_children(self._lock_fd)
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        with _short(folder) as place:
            self._socket.bind(f"{place}/{self.id}.sock")
            os.chmod(f"{place}/{self.id}.sock", 0o600)

    def beat(self) -> None:
        """Give a sign of life."""
        with contextlib.suppress(OSError):
            os.utime(self._lock_fd)

    async def woken(self, timeout: float) -> None:
        """Return when somebody rang, or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        rang: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._socket, _resolve, rang)
        try:
            await asyncio.wait_for(rang, timeout)
        except asyncio.TimeoutError:  # not TimeoutError: they are one only from Python 3.11 on
            pass
        finally:
            loop.remove_reader(self._socket)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._socket.recv(16)

    def leave(self) -> None:
        self._socket.close()
        for path in (self._folder / f"{self.id}.sock", self._lock):
            path.unlink(missing_ok=True)
        _proofs.discard(self._lock_fd)
        os.close(self._lock_fd)


class Bell:
    """Rings every holder of a folder. One that is busy, frozen or dying is no obstacle: its poll finds the task."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ring(self) -> None:
        with contextlib.suppress(FileNotFoundError), _short(self._folder) as place:
            for name in os.listdir(self._folder):
                if name.endswith(".sock"):
                    with contextlib.suppress(OSError):
                        self._socket.sendto(b"!", f"{place}/{name}")

    def close(self) -> None:
        self._socket.close()


_proofs: set[int] = set()


def _keep_from_children(fd: int) -> None:
    """A process that a handler forks has our lock's descriptor too: it must not vouch for us when we are dead."""
    _let_go_at_fork()
    _proofs.add(fd)


@cache
def _let_go_at_fork() -> None:
    os.register_at_fork(after_in_child=_let_go)


def _let_go() -> None:
    for fd in _proofs:
        with contextlib.suppress(OSError):
            os.close(fd)
    _proofs.clear()


def is_alive(folder: Path, holder: str) -> bool:
    """Whether the process that holds this place lives."""
    try:
        fd = os.open(folder / f"{holder}.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def sign_of(folder: Path, holder: str) -> tuple[list[str], float]:
    """The types that a holder came for, and the seconds since its last sign of life."""
    try:
        lock = folder / f"{holder}.lock"
        return lock.read_text().split("\n"), max(time.time() - lock.stat().st_mtime, 0.0)
    except OSError:
        return [], 0.0


def sweep(folder: Path) -> None:
    """Remove what dead holders left behind."""
    for path in folder.glob("*.lock"):
        if not is_alive(folder, path.stem):
            path.with_suffix(".sock").unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A short name for the folder: a socket's path may have 107 bytes at most, and folders are often deeper."""
    if len(os.fsencode(folder)) < 60:
        yield str(folder)
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
