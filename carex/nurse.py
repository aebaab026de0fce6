"""A nursery from within: imports what is needed, forks, and tells who asked how the children ended (see `nursery`)."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from setproctitle import getproctitle, setproctitle

from carex.nursery import LINE, LONGEST, afresh

Run = Callable[[Sequence[str], Mapping[str, str]], None]
"""Carex's command line: runs with these arguments, in this environment."""


def serve(run: Run) -> None:
    """Be a nursery, for those at the other end of stdin, until all of them are gone."""
    for number in (signal.SIGTERM, signal.SIGINT):  # it is not for us to stop, but for those whom we started
        signal.signal(number, signal.SIG_IGN)
    _Nurse(run).live()


class _Nurse:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._asked_by: dict[int, socket.socket] = {}  # by process
        self._fresh: dict[int, subprocess.Popen[bytes]] = {}
        self._selector = selectors.DefaultSelector()
        setproctitle(getproctitle())  # which finds the place for a child's, as long as the environment is as it was
        self._ended, self._woken = socket.socketpair()
        for end in (self._ended, self._woken):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._ended, selectors.EVENT_READ)
        self._lines = {socket.socket(fileno=os.dup(0))}
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        for line in self._lines:
            self._selector.register(line, selectors.EVENT_READ)

    def live(self) -> None:
        while self._lines:
            for key, _ in self._selector.select():
                if isinstance(key.fileobj, socket.socket) and key.fileobj is not self._ended:
                    self._hear(key.fileobj)
                else:
                    with suppress(BlockingIOError):
                        self._ended.recv(4096)
                    self._bury()

    def _hear(self, line: socket.socket) -> None:
        try:
            message, given, *_ = socket.recv_fds(line, LONGEST, 2)
        except OSError:
            message, given = b"", []
        if not message:
            self._lines.discard(line)
            self._selector.unregister(line)
            line.close()
            return
        request = json.loads(message)
        if "modules" in request:
            _import(request["modules"])
            return
        if _has_hung_up(line):  # it had to wait too long, and has done without us
            for fd in given:
                os.close(fd)
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lines.add(ours)
        self._selector.register(ours, selectors.EVENT_READ)
        pid, handles = 0, []
        try:
            pid = self._fork(request, given, theirs) if _is_alone() else self._spawn(request, given, theirs)
            self._asked_by[pid] = line
            handles = [os.pidfd_open(pid)]
        except OSError as error:  # no memory, too many processes: it is tried without us, and has its reason then
            sys.stderr.write(f"The nursery cannot start a process: {error}\n")
        with suppress(OSError):
            socket.send_fds(line, [json.dumps({"pid": pid}).encode()], handles)
        for fd in (*given, *handles, theirs.detach()):
            os.close(fd)

    def _fork(self, request: Mapping[str, Any], given: Sequence[int], line: socket.socket) -> int:
        gc.collect()
        gc.freeze()  # or the first collection would copy in each child what they could share
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.fork()
        if pid == 0:
            self._become(request, given, line)
        return pid

    def _become(self, request: Mapping[str, Any], given: Sequence[int], line: socket.socket) -> NoReturn:
        """In the child: leave nothing of the nursery but its modules, and run what was asked for to the end."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setsid()
            self._selector.close()
            for end in (*self._lines, self._ended, self._woken):
                end.close()
            for number, fd in enumerate(given):
                os.dup2(fd, number)
                os.close(fd)
            setproctitle(" ".join(request["command"]))
            self._run(request["command"][3:], {**request["env"], LINE: str(line.detach())})
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody has caught
            sys.excepthook(*sys.exc_info())
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _spawn(self, request: Mapping[str, Any], given: Sequence[int], line: socket.socket) -> int:
        pipes = dict(zip(("stdin", "stdout"), given, strict=False))
        env = {**request["env"], LINE: str(line.fileno())}
        process = afresh(request["command"], **pipes, env=env, keep=[line.fileno()])
        self._fresh[process.pid] = process
        return process.pid

    def _bury(self) -> None:
        """Tell who asked for them how our children have ended."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                code = os.waitstatus_to_exitcode(status)
                if pid in self._fresh:
                    self._fresh.pop(pid).returncode = code  # or it would look for the child itself
                with suppress(OSError, KeyError):
                    self._asked_by.pop(pid).send(json.dumps({"pid": pid, "code": code}).encode())


def _has_hung_up(line: socket.socket) -> bool:
    polled = select.poll()
    polled.register(line, 0)
    return bool(polled.poll(0))


def _import(names: Sequence[str]) -> None:
    """What our children have imported, the next ones will need, too: plugins import much only as they are used."""
    for name in names:
        if name not in sys.modules and not name.startswith("__"):
            with suppress(Exception):  # made at run time, or not to be had on its own
                importlib.import_module(name)


def _is_alone() -> bool:
    """Whether this process has one thread: of any other, a forked process would have the locks it holds, but not it."""
    return len(list(Path("/proc/self/task").iterdir())) == 1
