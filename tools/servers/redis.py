"""A Redis of one's own, with its data in a folder."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from tools.servers.process import free_port, require, spawn, wait_until


class RedisServer:
    """A real redis-server on a port of this machine, with options as on its command line."""

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.log = folder / f"redis-{self.port}.log"
        self._folder = folder
        self._options = ("--save", "", "--appendonly", "yes", *options)
        self.password = options[options.index("--requirepass") + 1] if "--requirepass" in options else None

    def start(self, *more: str, saying: bytes = b"+PONG") -> None:
        """Return when it answers a PING so, or asks for a password."""
        require("redis-server", purpose="to start a Redis")
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        self.process = spawn([*command, *self._options, *more], self.log)
        self.ready(20, saying)

    def ready(self, seconds: float = 20, saying: bytes = b"+PONG") -> None:
        wait_until(lambda: self._answer() in (saying[:5], b"-NOAU"), self.process, self.log, seconds)

    def _answer(self) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64)[:5]
        except OSError:
            return b""

    def ask(self, *command: str) -> object:
        import redis

        with redis.Redis(port=self.port, password=self.password, decode_responses=True) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """As a crash does: nothing is written any more."""
        self.process.kill()
        self.process.wait()

    close = kill
