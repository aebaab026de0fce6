"""The tutorial, `handlers/README.md`, done from its first line to its last, as a reader would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from carex.cli.handlers_new import FILES

if TYPE_CHECKING:
    from tools.servers import Vhost

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "handlers" / "README.md"
END = "<end of block>"


@dataclass(frozen=True)
class Block:
    """A fenced block: a file to write if it has a name, commands to run, or what these are to print."""

    language: str
    name: str
    text: str
    line: int


def blocks() -> list[Block]:
    text = TUTORIAL.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w+) ?(\S*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(*match.groups(), line=text.count("\n", 0, match.start()) + 1) for match in found]


class Reader:
    """Somebody at a shell, who writes the files, types the commands and looks at what comes."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._shell = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def write(self, block: Block) -> None:
        (self._folder / block.name).write_text(block.text, encoding="utf-8")

    def type(self, block: Block) -> tuple[bool, str]:
        """Run the commands; return whether each of them went well, and all that was said."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        script = f"trap 'failed=1' ERR; failed=0\n{{\n{block.text}}} </dev/null\necho; echo '{END}' $failed\n"
        self._shell.stdin.write(script)
        self._shell.stdin.flush()
        said = []
        for line in self._shell.stdout:
            if line.startswith(END):
                return line.split()[-1] == "0", "".join(said)
            said.append(line)
        raise AssertionError(f"The shell ended: {''.join(said)}")

    def leave(self) -> None:
        os.killpg(self._shell.pid, signal.SIGKILL)  # also a worker that is still in the background
        self._shell.wait(10)


@pytest.fixture
def reader(tmp_path: Path, broker: Vhost) -> Iterator[Reader]:
    ours = ("CAREX_", "RABBITMQ_", "WEBHOOK_", "REDIS_", "VIRTUAL_ENV", "PYTHONPATH", "PYTEST_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "200",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "CAREX": str(ROOT),
        "AMQP_URL": broker.url,
        "RABBITMQ_HOST": broker.host,
        "RABBITMQ_PORT": str(broker.port),
        "RABBITMQ_USERNAME": broker.username,
        "RABBITMQ_PASSWORD": broker.password,
        "CAREX_RABBITMQ__VHOST": broker.vhost,
    }
    reader = Reader(tmp_path, environment)
    yield reader
    reader.leave()


def missing(expected: str, said: str) -> list[str]:
    """The lines that were announced and did not come; … stands for anything."""
    patterns = {line: ".*".join(map(re.escape, line.split("…"))) for line in expected.splitlines()}
    return [line for line, pattern in patterns.items() if not re.search(pattern, said)]


def do(reader: Reader, block: Block, expected: str) -> None:
    if block.name:
        reader.write(block)
        return
    well, said = reader.type(block)
    place = f"handlers/README.md:{block.line}"
    assert well == (not expected.startswith("Error:")), f"{place}: {block.text}{said}"
    assert missing(expected, said) == [], f"{place}: {block.text}{said}"


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


@pytest.mark.timeout(600)
def test_the_tutorial_works_as_written(reader: Reader, tmp_path: Path) -> None:
    found = blocks()
    for block, after in zip(found, [*found[1:], Block("", "", "", 0)], strict=True):
        if block.language != "text":
            do(reader, block, after.text if after.language == "text" else "")
    (wheel,) = tmp_path.glob("wheels/carex-*.whl")
    plugins = {path.name for path in ROOT.glob("handlers/*/carex_*") if path.is_dir()}
    assert {name.partition("/")[0] for name in names(wheel)} == {"carex", "carex-0.1.0.dist-info", *plugins}
    assert {name for name in names(wheel) if "/example/" in name} == {f"carex/example/{file}" for file in FILES}


def test_every_block_is_a_file_commands_or_what_they_print() -> None:
    kinds = {(block.language, bool(block.name)) for block in blocks()}
    assert kinds == {("sh", False), ("text", False), ("python", True), ("toml", True)}
