"""A RabbitMQ node of one's own, with its data, cookie and port mapper (epmd) in one folder and on free ports."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tools.servers.process import Missing, free_port, require, spawn, wait_until

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Where Debian keeps the scripts themselves; those on the path change the user first."""


@dataclass(frozen=True)
class Vhost:
    """What a client needs to connect."""

    host: str
    port: int
    username: str
    password: str
    vhost: str
    management_url: str = ""

    @property
    def url(self) -> str:
        return f"amqp://{self.username}:{self.password}@{self.host}:{self.port}/{self.vhost.replace('/', '%2F')}"


def script(name: str) -> str:
    found = shutil.which(name, path=f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise Missing(f"{name} not found on the path, needed to start a RabbitMQ")
    return found


class Broker:
    """One node; the user is guest, password guest. `start()`, then `ready()`.

    With `management` its HTTP API is at `management_url`.
    """

    def __init__(self, folder: Path, *, port: int = 0, management: bool = False, management_port: int = 0) -> None:
        require("epmd", "erl", purpose="to start a RabbitMQ")
        self.port = port or free_port()
        self.log = folder / "rabbitmq.txt"
        self.management_url = ""
        plugins, settings = folder / "plugins", folder / "rabbitmq.conf"
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "log.console = true", "log.file = false"]
        if management:
            management_port = management_port or free_port()
            self.management_url = f"http://127.0.0.1:{management_port}"
            lines += ["management.tcp.ip = 127.0.0.1", f"management.tcp.port = {management_port}"]
        plugins.write_text(f"[{'rabbitmq_management' if management else ''}].")
        settings.write_text("\n".join([*lines, ""]))
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))},
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"carex{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(settings),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            # The script then becomes the node instead of watching over it, so that its id is the node's.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput +B i",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        cookie = folder / ".erlang.cookie"
        cookie.write_text("carex")
        cookie.chmod(0o600)

    @property
    def default(self) -> Vhost:
        return Vhost("127.0.0.1", self.port, "guest", "guest", "/", self.management_url)

    def start(self) -> None:
        """Start the node; does not wait for it."""
        if "epmd" not in self._processes:
            # A port mapper of our own: else the node starts one that stays behind for ever.
            command = ["epmd", "-address", "127.0.0.1", "-port", self._env["ERL_EPMD_PORT"]]
            self._processes["epmd"] = spawn(command, self.log, self._env)
        self._processes["node"] = spawn([script("rabbitmq-server")], self.log, self._env)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The node itself."""
        return self._processes["node"]

    def ready(self, seconds: float = 90) -> None:
        """Return when AMQP is answered."""
        wait_until(self.answers, self.process, self.log, seconds)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def kill(self) -> None:
        """As a crash does (SIGKILL). `start()` and `ready()` bring it back on the same ports and data."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the node and its port mapper; the data stays in the folder."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says, e.g. to `control("list_queues", "-p", "/")`; it takes a second or two."""
        ended = subprocess.run(
            [script("rabbitmqctl"), "-q", *arguments], env=self._env, capture_output=True, text=True, timeout=60
        )
        if ended.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {ended.stderr.strip() or ended.stdout.strip()}")
        return ended.stdout

    def alarm(self, on: bool) -> None:
        """With it on, the node takes no message and tells its clients that they are blocked."""
        self.control("set_disk_free_limit", "100000GB" if on else "1MB")

    def vhost(self, name: str) -> Vhost:
        """Make a virtual host in which guest may do everything; needs `management`."""
        self._manage("PUT", name)
        return Vhost("127.0.0.1", self.port, "guest", "guest", name, self.management_url)

    def remove(self, vhost: Vhost) -> None:
        """Remove a virtual host with all its queues and connections; needs `management`."""
        self._manage("DELETE", vhost.vhost)

    def _manage(self, method: str, vhost: str) -> None:
        credentials = base64.b64encode(b"guest:guest").decode()
        request = urllib.request.Request(
            f"{self.management_url}/api/vhosts/{vhost}",
            method=method,
            headers={"Authorization": f"Basic {credentials}"},
        )
        urllib.request.urlopen(request, timeout=30).close()
