"""What an example needs and nobody has at hand: a portal and a mail server, both of them stand-ins."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

from tools.servers.process import Missing, free_port, spawn, wait_until

ROOT = Path(__file__).resolve().parents[2]


class SimulatedPortal:
    """The Bitrix24 portal that comes with the plugin: every deal exists, eight people work there."""

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self.log = folder / "portal.log"

    def start(self) -> None:
        command = [str(_python()), "-m", "carex_bitrix24.simulator", "--port", str(free_port())]
        self.process = spawn(command, self.log)

    def ready(self, seconds: float = 20) -> None:
        wait_until(lambda: "\n" in self.log.read_text(), self.process, self.log, seconds)

    @property
    def webhook(self) -> str:
        """Its inbound webhook's address, secret and all."""
        return str(json.loads(self.log.read_text().partition("\n")[0])["webhook"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class MailSink:
    """Takes every mail and prints it into its log."""

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self.port = free_port(8025)
        self.log = folder / "mail.log"

    def start(self) -> None:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from runpy import run_module; "
        code += f"sys.argv = ['mail', '{self.port}']; run_module('tools.servers.mail', run_name='__main__')"
        self.process = spawn([sys.executable, "-c", code], self.log)

    def ready(self, seconds: float = 20) -> None:
        wait_until(self._answers, self.process, self.log, seconds)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _python() -> Path:
    """An interpreter that has Carex: ours, or the one that tools/carex prepared."""
    prepared = ROOT / ".venv" / "bin" / "python"
    if importlib.util.find_spec("carex_bitrix24"):
        return Path(sys.executable)
    if prepared.exists():
        return prepared
    raise Missing("no environment with Carex in it; `./tools/carex version` makes one")
