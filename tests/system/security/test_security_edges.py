"""The edges of a running installation: who is slow, who is large, who looks at the files, who writes names."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from carex.queue import Filter
from carex.task import Fail, Task

if TYPE_CHECKING:
    from tests.system.conftest import Installation

HEAD = b"POST /tasks/zoo_tame HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def port(installation: Installation) -> int:
    _, url = installation.serve()
    return int(url.rpartition(":")[2])


@pytest.fixture
def line(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=40) as connection:
        yield connection


def test_a_thousand_silent_callers_keep_nobody_waiting_and_are_sent_home(
    installation: Installation, port: int, eventually: Callable[..., Any]
) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(1000)]
    silent[0].sendall(b"\r\n")
    silent[1].sendall(b"POST /CarexRandom?deal_id=1 HTTP/1.1\r\nX: ")
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as good:
        good.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert good.recv(1000).startswith(b"HTTP/1.1 200")
    assert time.monotonic() - began < 1
    server = installation.started[0].pid
    eventually(lambda: len(os.listdir(f"/proc/{server}/fd")) < 100, 40, "the silent callers' end")
    for each in silent:
        each.close()


def test_a_head_without_end_is_cut_off(line: socket.socket) -> None:
    line.sendall(HEAD)
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        line.sendall((b"X: " + b"a" * 10_000 + b"\r\n") * 2000)


def test_a_body_that_never_ends_is_cut_off_at_its_limit(line: socket.socket) -> None:
    line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    sent = 0
    try:
        while sent < 40_000_000:
            line.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536
    except OSError:
        pass
    assert sent < 8_000_000
    assert b" 413 " in line.recv(1000)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_else_can_read_what_is_kept(
    installation: Installation, umask: int, eventually: Callable[..., Any]
) -> None:
    before = os.umask(umask)
    try:
        installation.worker()
        installation.run("users", "add", "1", "Ann")
        data = installation.home / "data"
        eventually(lambda: list(data.rglob("*.sock")))
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.lstat().st_mode) for each in data.rglob("*") if not each.is_dir()}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert [name for name, mode in modes.items() if mode & 0o077] == []


MARKUP = "[bold red]x[/] [/nothing] [link=file:///etc/passwd]y \x1b[2J\n\u202e :smile:"


@pytest.mark.parametrize(
    "command",
    [
        ["users", "list"],
        ["tasks", "list"],
        ["errors", "list"],
        ["errors", "show", "t1"],
        ["tasks", "show", "t1"],
        ["status"],
        ["handlers", "list"],
    ],
)
def test_names_and_errors_are_shown_as_they_are(installation: Installation, command: list[str]) -> None:
    installation.run("users", "add", "1", MARKUP.partition(" \x1b")[0])
    installation.put(Task("zoo_tame", {"trace": MARKUP}, key=MARKUP, id="t1"))
    installation.with_queue(fail)
    ended = installation.run(*command)
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\u202e" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert command[0] in ("status", "handlers") or "[bold red]x[/] [/nothing]" in ended.stdout


async def fail(queue: Any) -> None:
    [delivery] = await queue.claim(["*"], 1)
    await queue.settle([(delivery, Fail(MARKUP))])
    assert await queue.tasks(Filter(states=["failed"]))
