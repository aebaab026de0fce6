"""`tools/audit`: silence is no answer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
KNOWN = 'looked = 2026-11-22\nnone = ["safe"]\n[holed]\n">=2,<3.1" = "CVE-1"\n'
PYPROJECT = '[project]\ndependencies = ["holed>=3.1", "safe>=1"]\n'


def audit(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "audit"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def audit_of(folder: Path, constraints: str, *more: str, known: str = KNOWN, pyproject: str = PYPROJECT) -> Any:
    files = {"constraints": constraints, "known": known, "pyproject": pyproject}
    for name, text in files.items():
        (folder / name).write_text(text)
    return audit(*(word for name in files for word in (f"--{name}", folder / name)), *(more or ("--offline",)))


def test_our_dependencies_have_no_hole_that_the_list_in_the_sources_knows() -> None:
    ended = audit("--offline")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_holed_version_is_named(tmp_path: Path) -> None:
    ended = audit_of(tmp_path, "holed==3.0 ; python_version < '3.11'\nholed==3.1\nsafe==1\n")
    assert (ended.returncode, ended.stdout) == (1, "VULNERABLE: holed 3.0 (constraints): CVE-1\n")


def test_a_holed_lower_bound_is_named(tmp_path: Path) -> None:
    pyproject = PYPROJECT.replace("holed>=3.1", "holed>=2.5,<4")
    ended = audit_of(tmp_path, "holed==3.1\n", pyproject=pyproject)
    assert (ended.returncode, "lower bound" in ended.stdout) == (1, True)


@pytest.mark.parametrize(
    ("constraints", "pyproject"),
    [
        ("stranger==1\n", PYPROJECT),
        ("safe\n", PYPROJECT),
        ("safe>=1\n", PYPROJECT),
        ("safe==1.*\n", PYPROJECT),
        ("safe @ file:///safe\n", PYPROJECT),
        ("-r others.txt\n", PYPROJECT),
        ("# nothing\n", PYPROJECT),
        ("safe==1\n", '[project]\ndependencies = ["safe<2"]\n'),
        ("safe==1\n", '[project]\ndependencies = ["stranger>=1"]\n'),
    ],
)
def test_what_cannot_be_judged_is_a_failure(tmp_path: Path, constraints: str, pyproject: str) -> None:
    ended = audit_of(tmp_path, constraints, pyproject=pyproject)
    assert ended.returncode == 2
    assert ended.stderr.startswith("NOT AUDITED: ")


def test_an_old_list_is_a_loud_warning(tmp_path: Path) -> None:
    ended = audit_of(tmp_path, "safe==1\n", known=KNOWN.replace("2026", "2020"))
    assert (ended.returncode, ended.stderr.startswith("WARNING: ")) == (0, True)


def test_a_public_list_that_cannot_be_reached_is_a_failure(tmp_path: Path) -> None:
    ended = audit_of(tmp_path, "safe==1\n", "--public", "http://127.0.0.1:1/")
    assert (ended.returncode, "could not be asked" in ended.stderr) == (2, True)


@pytest.fixture
def public() -> Iterator[Callable[[bytes], str]]:
    """`public(answer)`: a public list that says this; its address."""
    servers = []

    def start(said: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: Any) -> None: ...

        servers.append(server := HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (json.dumps({"results": [{}, {}]}).encode(), 0),
        (json.dumps({"results": [{}, {"vulns": [{"id": "GHSA-1"}]}]}).encode(), 1),
        (json.dumps({"results": [{}]}).encode(), 2),
        (b'{"results": []}', 2),
        (b"{}", 2),
        (b"[]", 2),
        (b"<html>come again</html>", 2),
        (b"", 2),
    ],
)
def test_only_an_answer_for_every_package_counts(
    tmp_path: Path, public: Callable[[bytes], str], said: bytes, code: int
) -> None:
    assert audit_of(tmp_path, "holed==3.1\nsafe==1\n", "--public", public(said)).returncode == code
