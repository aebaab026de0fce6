"""Somebody who reads a page from its first line to its last, and does what it says: the runner of all pages' blocks.

A fenced block is commands (`sh`), what they print (`text`; … stands for anything), a file if it has a name
(`python hello.py`), a table for `carex.toml`, or lines for `.env`. A comment on the line before it says more:
`<!-- after a moment -->`: they are typed again until they print what the page says;
`<!-- not run: WHY -->`: they are not run.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
END = "<end of block>"
LATER, NOT_RUN = "after a moment", "not run: "
PATIENCE = 30.0
FENCE = re.compile(r"(?:^<!-- (.*?) -->\n)?^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: a file to write if it has a name, commands to run, or what these are to print."""

    note: str
    language: str
    name: str
    text: str
    place: str
    """Its page and line."""


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    file = page.relative_to(ROOT)
    return [
        Block(note or "", language, name, block, f"{file}:{text.count(chr(10), 0, found.start(2)) + 1}")
        for found in FENCE.finditer(text)
        for note, language, name, block in [found.groups()]
    ]


class Reader:
    """Somebody at a shell, who writes the files, types the commands and looks at what comes.

    `here` are the things that are elsewhere in the reader's house than on the page: `{"localhost:8000": …}`.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], here: Mapping[str, str] | None = None) -> None:
        self._here = here or {}
        self._heard: list[str] = []
        self._shell = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**_bare(), **environment},
            text=True,
            start_new_session=True,
        )

    def do(self, page: list[Block]) -> None:
        """Do everything that stands there. AssertionError names the block that did not go as written."""
        for block, after in zip(page, [*page[1:], Block("", "", "", "", "")], strict=True):
            expected = after.text if after.language == "text" else ""
            if block.language in ("text", "mermaid", "json") or block.note.startswith(NOT_RUN):
                continue
            if block.name:
                self._write(block)
            else:
                self._do(block, expected)

    def _do(self, block: Block, expected: str) -> None:
        deadline = time.monotonic() + (PATIENCE if block.note == LATER else 0)
        while True:
            well, said = self.type(self._as_here(block.text))
            if well == (not expected.startswith("Error:")) and missing(expected, said) == []:
                return
            heard, lacking = "".join(self._heard), "\n".join(missing(expected, said))
            assert time.monotonic() < deadline, f"{heard}\n{block.place}\n{block.text}--- lacks:\n{lacking}"
            time.sleep(0.2)

    def type(self, text: str) -> tuple[bool, str]:
        """Run the commands; return whether each of them went well, and all that was said."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        script = f"trap 'failed=1' ERR; failed=0\n{{\n{text}}} </dev/null\necho; echo '{END}' $failed\n"
        self._shell.stdin.write(script)
        self._shell.stdin.flush()
        said: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(END):
                self._heard += said
                return line.split()[-1] == "0", "".join(said)
            said.append(line)
        raise AssertionError(f"The shell ended: {''.join(said)}")

    def _write(self, block: Block) -> None:
        file = Path(self.type("pwd\n")[1].splitlines()[0], block.name)
        text = self._as_here(block.text)
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if block.name == ".env":
            text = f"{before}\n{text}"
        elif block.name == "carex.toml" and before:
            text = _with_tables(before, text)
        file.write_text(text, encoding="utf-8")

    def _as_here(self, text: str) -> str:
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text

    def leave(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)  # also what is still in the background
        self._shell.wait(10)


def missing(expected: str, said: str) -> list[str]:
    """The lines that were announced and did not come; … stands for anything, and spaces for any number of them."""
    heard = "\n".join(" ".join(line.split()) for line in said.splitlines())
    patterns = {line: ".*".join(map(re.escape, " ".join(line.split()).split("…"))) for line in expected.splitlines()}
    return [line for line, pattern in patterns.items() if not re.search(pattern, heard)]


def _with_tables(before: str, text: str) -> str:
    """As somebody edits carex.toml: a table takes the place of its heading, other lines go to the top."""
    for part in filter(str.strip, re.split(r"(?m)^(?=\[\w)", text)):
        heading = part.partition("\n")[0]
        if not part.startswith("["):
            keys = "|".join(re.findall(r"(?m)^(\w+) *=", part))
            before = part + re.sub(rf"(?m)^(?:{keys}) *=.*\n", "", before)
        elif f"\n{heading}\n" in before:
            before = before.replace(f"\n{heading}\n", f"\n{part}\n", 1)
        else:
            before = f"{before}\n{part}"
    return before


def _bare() -> dict[str, str]:
    """An environment that knows nothing of the tests', in which `carex` is the one that is tested."""
    ours = ("CAREX_", "RABBITMQ_", "CAMUNDA_", "WEBHOOK_", "REDIS_", "VIRTUAL_ENV", "PYTHONPATH", "PYTEST_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "200",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
