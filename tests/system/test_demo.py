"""`carex demo`, as a person, a program and an impatient person run it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Installation


@pytest.fixture
def demo(installation: Installation) -> Installation:
    """An installation whose temporary files, and so the demo's home, are in its own folder."""
    installation.env["TMPDIR"] = str(installation.home)
    return installation


def homes(demo: Installation) -> list[Path]:
    return list(demo.home.glob("carex-demo-*"))


def processes(*words: str) -> list[int]:
    """The processes that have all these words in their command line."""
    lines = {int(process.name): _command_line(process) for process in Path("/proc").glob("[0-9]*")}
    return [pid for pid, line in lines.items() if all(word in line for word in words)]


def test_every_deal_gets_one_person_whatever_happens(demo: Installation) -> None:
    ended = demo.run("demo", "--deals", "60", "--json")
    answer = json.loads(ended.stdout)
    assert (answer["schema"], answer["verdict"], answer["problems"]) == ("carex.demo/1", "good", [])
    assert (answer["deals"], answer["assigned"], answer["lost"], answer["given_to_two"]) == (60, 60, 0, 0)
    assert answer["killed_workers"] == 1
    assert answer["portal"]["failed"] > answer["portal"]["answers_lost"] > 0
    assert [name for name, deals in answer["shares"].items() if not deals] == answer["excluded"]
    assert ended.returncode == 0
    assert homes(demo) == []


def test_without_the_ledger_deals_are_given_to_two_people(demo: Installation) -> None:
    ended = demo.run("demo", "--deals", "60", "--json", "--without-ledger")
    answer = json.loads(ended.stdout)
    assert (ended.returncode, answer["verdict"], answer["lost"]) == (1, "bad", 0)
    assert answer["given_to_two"] > 0
    assert "given to two people" in answer["problems"][0]


def test_without_a_terminal_the_story_is_told_in_plain_lines(demo: Installation) -> None:
    demo.env |= {"REDIS_URL": "redis://127.0.0.1:1/0", "CAREX_WORKER__TYPES": "nothing", "CAREX_NO_SUCH__KEY": "1"}
    ended = demo.run("demo", "--deals", "3", "--keep")
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    assert "The portal is down; nothing is lost" in ended.stdout
    assert "killed (kill -9)" in ended.stdout
    assert "3 of 3 deals have a responsible person, 0 lost" in ended.stdout
    assert str(homes(demo)[0]) in ended.stderr


def test_a_process_that_dies_on_its_own_makes_the_verdict_bad_and_is_quoted(
    demo: Installation, eventually: Any
) -> None:
    running = demo.start("demo", "--deals", "60", "--json")
    (server,) = eventually(lambda: processes(str(demo.home), "carex-demo-", "serve"))
    eventually(lambda: "robots report" in demo.said(running))
    os.kill(server, signal.SIGKILL)
    assert running.wait(30) == 1
    answer = json.loads(demo.said(running).splitlines()[-1])
    assert answer["verdict"] == "bad"
    assert "carex serve was killed by signal 9" in answer["problems"][0]
    assert "listens on" in answer["problems"][0]


def test_ctrl_c_ends_everything_and_gives_the_terminal_back(demo: Installation, eventually: Any) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, demo.command("demo"), {**os.environ, **demo.env, "TERM": "xterm"})
    seen = bytearray()
    _read(terminal, seen, until=b"The first deal has a responsible person")
    os.kill(pid, signal.SIGINT)  # to it alone: a terminal would tell its children too
    _read(terminal, seen, until=b"has been stopped")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")  # the cursor is back
    assert (processes("carex-demo-", str(demo.home)), homes(demo)) == ([], [])


@pytest.mark.parametrize("deals", ["0", "5001", "many"])
def test_a_number_of_deals_that_makes_no_sense_is_refused(demo: Installation, deals: str) -> None:
    ended = demo.run("demo", "--deals", deals)
    assert ended.returncode == 2
    assert "--deals" in ended.stderr


def test_the_first_frame_does_not_wait_for_the_network_libraries() -> None:
    script = "import sys, carex_bitrix24.demo, carex_bitrix24.demo_view; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    heavy = {"httpx", "aiohttp", "uvicorn", "starlette", "fastapi", "sqlite_utils", "loguru"}
    assert set(done.stdout.split()) & heavy == set()


def _read(terminal: int, seen: bytearray, until: bytes) -> None:
    """Read what a terminal shows; pytest's time limit is the deadline."""
    while until not in seen:
        seen += os.read(terminal, 65536)


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has just ended
        return ""
