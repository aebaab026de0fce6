"""Starts processes of Carex in an instant: from a process that has imported all they need, and forks.

A fresh one needs most of a second of CPU before it runs its first task, and when tasks kill the processes that run
them, everybody else's tasks wait for it. So whoever looks after several processes starts them through a *nursery*, and
a worker by itself starts one when it first needs another process; children may ask it, too. It is a process by itself
because a fork is safe only where there is one thread: a nursery whose plugins start threads as they are imported does
not fork, but starts fresh processes.

This is the side of those who ask; the other one is in `nurse`. A socket joins them, over which requests and file
descriptors go one way, process ids and exit codes the other. What a nursery started lives on when it dies, and watches
its owners by itself.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Union

LINE = "CAREX_NURSERY"
"""The environment variable that tells a child the number of its socket to the nursery."""
ANSWER = 30.0
"""Seconds that a start may take, imports included."""
PAUSE = 10.0
"""Seconds without a nursery after one that gave no answer."""
LONGEST = 1024 * 1024
CLOSING = 2.0


class Process:
    """One that a nursery has started; to be used like a `subprocess.Popen`."""

    def __init__(self, pid: int, handle: int, line: _Line) -> None:
        self.pid = pid
        self._handle = handle  # a pidfd: unlike the number, it never comes to mean another process
        self._line = line
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs. If nobody is left to tell, it passes for killed."""
        if self._code is None:
            self._code = self._line.code_of(self.pid)
            if self._code is None and self._line.dead and select.select([self._handle], [], [], 0)[0]:
                self._code = -signal.SIGKILL
            if self._code is not None:
                os.close(self._handle)
        return self._code

    def send_signal(self, number: int) -> None:
        if self._code is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Started = Union[Process, "subprocess.Popen[bytes]"]


def afresh(
    command: Sequence[str], *, stdin: int, stdout: int | None = None, env: Mapping[str, str], keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Run a command without a nursery, in a session of its own; it keeps the descriptors in `keep`. Raises OSError."""
    return subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=stdin, stdout=stdout, env=env, pass_fds=keep, start_new_session=True
    )


class Nursery:
    """Where to start processes; `command` starts a nursery, `line` leads to one that is there already.

    `env` is the environment of what is started, unless it gets one of its own.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], line: socket.socket | None = None) -> None:
        self._command = command
        self._env = env
        self._line = _Line(line) if line else None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._again = 0.0  # when it is tried again, after a failure
        self._told = 0  # how many modules it knows of

    def start(
        self, command: Sequence[str], *, stdin: int, stdout: int | None = None, env: Mapping[str, str] | None = None
    ) -> Started:
        """Run a command of Carex (`python -m carex …`) in a session of its own. Raises OSError."""
        surroundings = dict(self._env if env is None else env)
        request = {"command": list(command), "env": surroundings}
        with self._starting:
            if _can_watch() and time.monotonic() >= self._again:
                try:
                    if self._line is None or self._line.is_dead():
                        self._line = self._open()
                    self._tell(self._line)
                    if process := self._line.ask(request, [stdin] if stdout is None else [stdin, stdout]):
                        return process
                except OSError:  # it hangs, or is dead: then it must not start this later, when we have done it
                    self._again = time.monotonic() + PAUSE
                    if self._process:
                        self._process.kill()
        return afresh(command, stdin=stdin, stdout=stdout, env=surroundings)

    def teach(self) -> None:
        """Have it import what we have by now: its next children are ready the sooner. Without a nursery, nothing."""
        with self._starting, suppress(OSError):
            if self._line:
                self._tell(self._line)

    def rest(self, seconds: float) -> None:
        """Sleep, but not beyond the end of one that it has started."""
        if self._line is None or self._line.is_dead():
            time.sleep(seconds)
        else:
            self._line.wait(seconds)

    def close(self) -> None:
        """It ends when nobody has a line to it any more."""
        if self._line:
            self._line.hang_up()
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSING)

    def _tell(self, line: _Line) -> None:
        if len(sys.modules) != self._told:
            self._told = len(sys.modules)
            line.tell({"modules": list(sys.modules)})

    def _open(self) -> _Line:
        self._told = 0
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(self._command, stdin=theirs.fileno(), start_new_session=True)  # noqa: S603
        return _Line(ours)


class _Line:
    """Our end of a socket to a nursery."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.settimeout(ANSWER)
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        self.dead = False

    def ask(self, request: Mapping[str, object], given: Sequence[int]) -> Process | None:
        """None if it cannot start any more. Raises OSError if there is no answer."""
        with self._lock, self._ending():
            socket.send_fds(self._socket, [json.dumps(request).encode()], given)
            while True:
                answer, handles = self._receive()
                if "code" not in answer:
                    return Process(answer["pid"], handles[0], self) if handles else None

    def tell(self, news: Mapping[str, object]) -> None:
        """What needs no answer. Raises OSError."""
        with self._lock, self._ending():
            self._socket.send(json.dumps(news).encode())

    def wait(self, seconds: float) -> None:
        """Until there is something to hear."""
        select.select([self._socket], [], [], seconds)

    def is_dead(self) -> bool:
        self._hear()
        return self.dead

    def code_of(self, pid: int) -> int | None:
        self._hear()
        return self._codes.pop(pid, None)

    def _hear(self) -> None:
        if self._lock.acquire(blocking=False):  # else somebody waits for an answer, and reads whatever comes
            try:
                while not self.dead and select.select([self._socket], [], [], 0)[0]:
                    with suppress(OSError), self._ending():
                        self._receive()
            finally:
                self._lock.release()

    def hang_up(self) -> None:
        with self._lock:
            self.dead = True
            self._socket.close()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """After an error nothing more is expected of it."""
        try:
            yield
        except OSError:
            self.dead = True
            self._socket.close()
            raise

    def _receive(self) -> tuple[dict[str, int], list[int]]:
        message, handles, *_ = socket.recv_fds(self._socket, LONGEST, 1)
        if not message:
            raise ConnectionResetError("The nursery is dead.")
        answer = json.loads(message)
        if "code" in answer:
            self._codes[answer["pid"]] = answer["code"]
        return answer, handles


@cache
def _can_watch() -> bool:
    """Whether this system has pidfds: Linux does since 5.3, if nothing forbids them (see pidfd_open(2))."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True
