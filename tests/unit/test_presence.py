"""The proof of life and the bell: how processes on one queue file know of each other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carex.queue.presence import Bell, Presence, is_alive, sign_of, sweep


@pytest.fixture(params=["short", "a folder whose name alone is longer than a socket's path may be" * 3])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found = tmp_path / request.param
    found.mkdir()
    return found


def test_a_ring_wakes_whoever_waits(folder: Path) -> None:
    async def scenario() -> float:
        presence, bell = Presence(folder), Bell(folder)
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, bell.ring)
        started = loop.time()
        await presence.woken(20)
        presence.leave()
        bell.close()
        return loop.time() - started

    assert asyncio.run(scenario()) < 5


def test_a_ring_before_the_wait_is_not_missed(folder: Path) -> None:
    async def scenario() -> float:
        presence, bell = Presence(folder), Bell(folder)
        bell.ring()
        started = asyncio.get_running_loop().time()
        await presence.woken(20)
        presence.leave()
        bell.close()
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(scenario()) < 5


def test_ringing_never_blocks_however_many_rings_nobody_heard(folder: Path) -> None:
    presence, bell = Presence(folder), Bell(folder)
    for _ in range(5000):
        bell.ring()
    presence.leave()
    bell.ring()
    bell.close()


HOLDER = """
import sys, time
from pathlib import Path
from carex.queue.presence import Presence
print(Presence(Path(sys.argv[1])).id, flush=True)
time.sleep(600)
"""


def test_a_killed_process_is_dead_at_once_and_a_stopped_one_lives(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    holder = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGSTOP)
    alive_when_stopped = is_alive(folder, holder)
    process.kill()
    process.wait(10)
    assert alive_when_stopped
    assert not is_alive(folder, holder)


def test_what_the_dead_left_behind_is_swept_away_and_the_living_are_spared(folder: Path) -> None:
    living = Presence(folder)
    (folder / "dead-1-ab.lock").touch()
    (folder / "dead-1-ab.sock").touch()
    sweep(folder)
    assert {path.stem for path in folder.iterdir()} == {living.id}
    living.leave()
    assert list(folder.iterdir()) == []


def test_a_holder_shows_what_it_came_for_and_how_long_it_has_been_silent(folder: Path) -> None:
    presence = Presence(folder, ["deal", "mail"])
    os.utime(folder / f"{presence.id}.lock", (0, 0))
    types, silent = sign_of(folder, presence.id)
    presence.beat()
    assert types == ["deal", "mail"]
    assert silent > 1e9
    assert sign_of(folder, presence.id)[1] < 60
    presence.leave()


def test_a_process_that_was_forked_does_not_vouch_for_its_dead_parent(folder: Path) -> None:
    """It closes its copy of the lock's descriptor; a copy that stays open keeps the lock when its owner is dead."""
    code = (
        "import os, sys, time; from pathlib import Path; from carex.queue.presence import Presence\n"
        "presence = Presence(Path(sys.argv[1]))\n"
        "if os.fork() == 0: print(presence.id, flush=True); sys.stdin.read(); os._exit(0)\n"
        "os._exit(1)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, folder], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        holder = process.stdout.readline().strip()
        process.wait()
        assert not is_alive(folder, holder)
        process.stdin.close()
