"""Those whom a service talks to: a socket where systemd's would be, and a real supervisord with a folder of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Installation

PLUGINS = Path(__file__).parents[1] / "plugins"
CONFIG = """\
[unix_http_server]
file={folder}/s.sock
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
[include]
files={folder}/conf.d/*.conf
"""


class Told:
    """What systemd is told by the processes of an installation."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address and f"{address}/told")
        self.seen: list[tuple[float, list[str]]] = []

    @property
    def address(self) -> str:
        name = self._socket.getsockname()
        return name if isinstance(name, str) else f"@{name[1:].decode()}"

    def until(self, word: str, times: int = 1, seconds: float = 30.0) -> float:
        """Wait until this was said so often from now on; return when, by the monotonic clock."""
        end = time.monotonic() + seconds
        while times:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                lines = self._socket.recv(4096).decode().splitlines()
            except TimeoutError:
                pytest.fail(f"{word} was not said within {seconds:g} s; seen: {self.words()}")
            self.seen.append((time.monotonic(), lines))
            times -= word in lines
        return self.seen[-1][0]

    def words(self) -> list[str]:
        return [line for _, lines in self.seen for line in lines if not line.startswith("STATUS=")]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def told(request: pytest.FixtureRequest, installation: Installation) -> Iterator[Told]:
    listening = Told(str(installation.home) if request.param == "path" else "")
    installation.env |= {"NOTIFY_SOCKET": listening.address, "WATCHDOG_USEC": "400000"}
    yield listening
    listening.close()


class Supervisord:
    def __init__(self, folder: Path) -> None:
        self.conf_d = folder / "conf.d"
        self.conf_d.mkdir(parents=True)
        self._config = folder / "supervisord.conf"
        self._config.write_text(CONFIG.format(folder=folder))
        self.bin = folder / "bin"
        self.bin.mkdir()
        script = self.bin / "supervisorctl"  # as found on the path of the machine whose supervisord this is
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m supervisor.supervisorctl -c {self._config} "$@"\n')
        script.chmod(0o755)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)],
            env={**os.environ, "PYTHONPATH": str(PLUGINS)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def control(self, *words: str) -> str:
        command = [str(self.bin / "supervisorctl"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=90).stdout

    def log(self) -> str:
        return (self.conf_d.parent / "supervisord.log").read_text()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(90)


@pytest.fixture
def supervisord(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]
) -> Iterator[Supervisord]:
    started = Supervisord(tmp_path_factory.mktemp("sv"))
    installation.env["PATH"] = f"{started.bin}:{os.environ['PATH']}"
    eventually(lambda: started.control("pid").strip().isdigit())
    yield started
    started.close()
