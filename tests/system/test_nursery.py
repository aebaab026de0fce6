"""Processes that are started again come from a nursery: in an instant, and no less safely than fresh ones."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carex.nursery import Nursery, Process, Started
from carex.task import Task
from tests.system.conftest import Installation, commands, lives, until

# What a child says: what it was asked for, where it is, and what it was given. Then it ends as it was told.
NURSE = """
import os, sys, threading, time
from carex.nurse import serve
{more}
def run(arguments, environment):
    how, *rest = arguments
    import json
    who = os.getpid(), os.getppid(), os.getsid(0)
    print(json.dumps([*who, environment.get("FLAVOUR"), sys.stdin.read(), "tabnanny" in sys.modules]))
    sys.stdout.flush()
    if how == "raise":
        raise LookupError("lost")
    if how == "kill":
        os.kill(os.getpid(), 9)
    if how == "wait":
        time.sleep(60)
    sys.exit(int(how))
serve(run)
"""


def nursery_of(tmp_path: Path, more: str = "") -> Nursery:
    script = tmp_path / "nurse.py"
    script.write_text(NURSE.format(more=more))
    return Nursery([sys.executable, str(script)], os.environ)


@pytest.fixture(autouse=True)
def imported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a nursery is told that we have imported. Not all that the test runner has: some of it starts threads."""
    known: dict[str, Any] = {"json": None}
    monkeypatch.setattr("carex.nursery.sys", SimpleNamespace(modules=known))
    return known


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    nursery = nursery_of(tmp_path)
    yield nursery
    nursery.close()


def start(nursery: Nursery, how: str, said: str = "", **env: str) -> tuple[Started, Any]:
    """Start a child; it and what it said, once it has said it."""
    import json

    stdin, ours = os.pipe()
    theirs, stdout = os.pipe()
    command = [sys.executable, "-m", "carex", how]
    child = nursery.start(command, stdin=stdin, stdout=stdout, env={**os.environ, **env})
    os.close(stdin)
    os.close(stdout)
    os.write(ours, said.encode())
    os.close(ours)
    with os.fdopen(theirs) as lines:
        line = lines.readline()
    return child, json.loads(line) if line else None


def started(nursery: Nursery, *arguments: str) -> Started:
    """Start a child of Python with nothing to read."""
    with open(os.devnull) as nothing:
        return nursery.start([sys.executable, *arguments], stdin=nothing.fileno())


def seven(nursery: Nursery) -> Started:
    """Start what only a fresh interpreter can run: it ends with 7."""
    return started(nursery, "-c", "import sys; sys.exit(7)")


def code_of(child: Started) -> int:
    until(lambda: child.poll() is not None, what="its end")
    code = child.poll()
    assert code is not None
    return code


@pytest.mark.parametrize(("how", "code"), [("0", 0), ("3", 3), ("raise", 1), ("kill", -9)])
def test_a_child_ends_with_its_own_code(nursery: Nursery, how: str, code: int) -> None:
    child, _ = start(nursery, how)
    assert isinstance(child, Process)
    assert code_of(child) == code
    child.kill()  # too late, and nobody else is hit


def test_a_child_has_its_own_pipes_environment_and_session(nursery: Nursery) -> None:
    first, (pid, parent, session, flavour, heard, _) = start(nursery, "0", "one", FLAVOUR="sweet")
    assert (pid, session, flavour, heard) == (first.pid, first.pid, "sweet", "one")
    second, (_, other_parent, _, other_flavour, other, _) = start(nursery, "0", "two")
    assert (other_parent, other_flavour, other) == (parent, None, "two")
    assert [code_of(first), code_of(second)] == [0, 0]


def test_a_child_has_the_modules_of_whoever_asks(nursery: Nursery, imported: dict[str, Any]) -> None:
    imported["tabnanny"] = None
    _, (*_, has_it) = start(nursery, "0")
    assert has_it


def test_a_nursery_can_be_taught_what_its_children_have_imported(nursery: Nursery, imported: dict[str, Any]) -> None:
    nursery.teach()  # there is none yet
    _, (*_, has_it) = start(nursery, "0")
    assert not has_it
    imported["tabnanny"] = None
    nursery.teach()
    _, (*_, has_it) = start(nursery, "0")
    assert has_it


def test_a_child_gets_signals(nursery: Nursery) -> None:
    child, _ = start(nursery, "wait")
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    assert code_of(child) == -signal.SIGTERM


def test_a_nursery_that_was_killed_is_replaced_and_its_children_are_still_watched(nursery: Nursery) -> None:
    child, (_, parent, *_) = start(nursery, "wait")
    os.kill(parent, signal.SIGKILL)
    until(lambda: not lives(parent))
    another, (_, other_parent, *_) = start(nursery, "0")
    assert other_parent != parent
    assert code_of(another) == 0
    assert child.poll() is None
    child.kill()
    assert code_of(child) == -signal.SIGKILL


def test_where_there_are_threads_nothing_is_forked(tmp_path: Path) -> None:
    nursery = nursery_of(tmp_path, "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()")
    child = seven(nursery)
    assert code_of(child) == 7  # a fresh interpreter that ran what was asked for
    nursery.close()


def test_without_a_nursery_a_fresh_process_does_it(tmp_path: Path) -> None:
    nursery = Nursery([sys.executable, "-c", "raise SystemExit('no nursery today')"], os.environ)
    child = seven(nursery)
    assert code_of(child) == 7
    nursery.close()


def test_a_nursery_that_hangs_is_done_without_and_starts_nothing_later(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("carex.nursery.ANSWER", 0.2)
    asleep = "time.sleep(2)"
    ours = nursery_of(tmp_path, asleep)
    assert code_of(seven(ours)) == 7
    until(lambda: not any("nurse.py" in args for args in commands(os.getpid()).values()), what="the end of our own")
    end, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    somebodys = subprocess.Popen([sys.executable, str(tmp_path / "nurse.py")], stdin=its_end.fileno())
    its_end.close()
    inherited = Nursery(["none"], os.environ, end)
    child = started(inherited, "-m", "carex", "wait")
    assert code_of(child) == 2, "for a fresh Carex there is no such command"
    assert somebodys.wait(10) == 0, "it ends, because it has no child that could ask it"


def test_whoever_waits_for_news_of_a_dead_nursery_rests(nursery: Nursery) -> None:
    _, (_, parent, *_) = start(nursery, "0")
    os.kill(parent, signal.SIGKILL)
    until(lambda: not lives(parent))
    began = time.monotonic()
    for _ in range(10):
        nursery.rest(0.02)
    assert time.monotonic() - began >= 0.2


def test_where_processes_cannot_be_watched_a_fresh_one_does_it(nursery: Nursery, monkeypatch: Any) -> None:
    monkeypatch.setattr("carex.nursery._can_watch", lambda: False)
    child = seven(nursery)
    assert isinstance(child, subprocess.Popen)
    assert code_of(child) == 7


def test_a_child_sees_the_end_of_its_nursery(installation: Installation, eventually: Any) -> None:
    """Or it would wait for an answer that never comes when it needs a process itself."""
    parent = installation.worker("--processes", "2")
    eventually(lambda: installation.said(parent).count("at a time of") == 2)
    for pid in workers(parent.pid):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: installation.said(parent).count("at a time of") == 4)
    (nursery,) = (pid for pid, args in commands(parent.pid).items() if args.endswith("--nursery"))
    os.kill(nursery, signal.SIGKILL)
    poison = Task("zoo_poison", {"seconds": 0.1})
    installation.put(poison)
    eventually(lambda: installation.entry(poison).state == "failed")


def test_a_nursery_ends_with_the_last_who_could_ask(nursery: Nursery) -> None:
    child, (_, parent, *_) = start(nursery, "wait")
    nursery.close()
    assert lives(parent), "the child could still ask"
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: not lives(parent), what="its end")


# ------------------------------------------------------------------ in a worker


def workers(of: int) -> list[int]:
    return [pid for pid, args in commands(of).items() if "--supervised" in args]


def test_a_worker_that_died_comes_back_and_ps_says_what_each_is(installation: Installation, eventually: Any) -> None:
    parent = installation.worker("--processes", "2")
    eventually(lambda: installation.said(parent).count("at a time of") == 2)
    nurseries = [pid for pid, args in commands(parent.pid).items() if args.endswith("--nursery")]
    assert len(nurseries) == 1
    assert set(workers(parent.pid)) == set(workers(nurseries[0])), "from the start, they are its children"
    for deaths in (1, 2, 3):
        victim = workers(parent.pid)[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda victim=victim: victim not in workers(parent.pid) and len(workers(parent.pid)) == 2)
        eventually(lambda deaths=deaths: installation.said(parent).count("at a time of") >= 2 + deaths)
    orphans = workers(parent.pid)
    os.kill(nurseries[0], signal.SIGKILL)
    os.kill(orphans[0], signal.SIGKILL)
    eventually(lambda: len(workers(parent.pid)) == 1)
    eventually(lambda: installation.said(parent).count("at a time of") == 6)
    installation.put(*(Task("zoo_tame", {"n": n, "seconds": 0.1}) for n in range(300)))
    eventually(lambda: len(installation.entries("done")) == 300)
    family = [*orphans, *commands(parent.pid)]
    parent.terminate()
    parent.wait(20)
    eventually(lambda: not any(lives(pid) for pid in family))


def test_all_end_with_a_parent_that_was_killed(installation: Installation, eventually: Any) -> None:
    parent = installation.worker("--processes", "2")
    installation.put(*(Task("zoo_poison", {"seconds": 0.1, "n": n}) for n in range(2)))
    eventually(lambda: len(installation.entries("failed")) == 2, 40.0)
    family = list(commands(parent.pid))
    assert any("--nursery" in args for args in commands(parent.pid).values())
    os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: not any(lives(pid) for pid in family))
