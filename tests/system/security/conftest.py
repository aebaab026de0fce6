"""An installation full of canaries, and what of them has got out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Installation
from tests.system.security.canaries import environment, find_in, found_in
from tests.system.security.hostile import Hostile, hostile

PLUGINS = Path(__file__).parent / "plugins"


class Aviary:
    """The installation, and everything that was said: by its commands, in its files, by its server, in `ps`."""

    def __init__(self, installation: Installation) -> None:
        self.home = installation
        self.said: dict[str, bytes] = {}

    def run(self, *args: str, seconds: float = 25.0, code: int | None = None) -> str:
        """Run a command to its end, or stop it; its output, both streams."""
        process = subprocess.Popen(
            self.home.command(*args), env=self.home._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                said, _ = process.communicate(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()  # it is polite to a system that does not answer
                said, _ = process.communicate()
        self.said[" ".join(args)] = self.said.get(" ".join(args), b"") + said
        assert code is None or process.returncode == code, said.decode()
        return said.decode(errors="replace")

    def run_all(self, *commands: tuple[str, ...], seconds: float = 25.0) -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda args: self.run(*args, seconds=seconds), commands))

    def hear(self, what: str, said: bytes | str) -> None:
        self.said[what] = said if isinstance(said, bytes) else said.encode()

    def command_lines(self) -> bytes:
        """Those of the processes started here and of all that they started."""
        ids, lines = [process.pid for process in self.home.started], b""
        for id in ids:
            with suppress(OSError):
                lines += Path(f"/proc/{id}/cmdline").read_bytes()
                for thread in Path(f"/proc/{id}/task").iterdir():
                    ids += map(int, (thread / "children").read_text().split())
        return lines

    def escaped(self) -> dict[str, list[str]]:
        """Where canaries were seen, and which."""
        return found_in(self.said) | find_in(self.home.home)


@pytest.fixture
def aviary(installation: Installation) -> Iterator[Callable[..., tuple[Aviary, Hostile]]]:
    """`aviary(fault)`: an installation whose every system is a hostile server."""
    with ExitStack() as stack:

        def make(fault: str = "500", **more: str) -> tuple[Aviary, Hostile]:
            server = stack.enter_context(hostile(fault))
            installation.env |= environment(server.host) | {"PYTHONPATH": str(PLUGINS)} | more
            return Aviary(installation), server

        yield make


@pytest.fixture
def leaking(aviary: Callable[..., Any]) -> Aviary:
    made: Aviary = aviary()[0]
    return made
