"""A 2xx means that the task is on disk: shown by the order of the system calls of a running `carex serve`."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from carex.database import wal_is_safe

if TYPE_CHECKING:
    from conftest import Installation

CALLS = 60
CALL = re.compile(r"^(\d+) +(\w+)\((\d+)<([^>]*)>(.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")


@pytest.mark.skipif(not wal_is_safe(), reason="without a write-ahead log the order is another")
def test_every_accepted_task_was_written_and_synced_before_its_answer(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    server, address = installation.serve()
    trace = tmp_path / "trace"
    # Short of nothing: a page of the log has 4096 bytes, and the ids in it are what is looked for.
    calls = "trace=pwrite64,fsync,fdatasync,sendto,write,writev"
    strace = subprocess.Popen(["strace", "-f", "-y", "-s", "6000", "-e", calls, "-o", trace, "-p", str(server.pid)])
    eventually(lambda: trace.exists() and _is_traced(server.pid), what="strace")
    ids = asyncio.run(_put(address))
    strace.send_signal(signal.SIGINT)
    strace.wait(10)
    synced = synced_before_answer(trace.read_text(errors="replace").splitlines(), ids)
    assert synced == dict.fromkeys(ids, True)
    assert len(synced) == CALLS


async def _put(address: str) -> list[str]:
    """One by one, then all at once, when many share a commit."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        single = [await client.post("/tasks/zoo_tame", json={"n": n}) for n in range(CALLS // 2)]
        together = await asyncio.gather(*(client.post("/tasks/zoo_tame", json={"n": n}) for n in range(CALLS // 2)))
    return [answer.json()["task_id"] for answer in [*single, *together]]


def _is_traced(pid: int) -> bool:
    return all("TracerPid:\t0\n" not in status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status"))


def synced_before_answer(trace: list[str], ids: list[str]) -> dict[str, bool]:
    """For each id that was answered, whether a sync of the log began after it was written there, and had ended."""
    written: set[str] = set()
    synced: set[str] = set()
    syncing: dict[str, set[str]] = {}  # by thread: what had been written when its sync began
    answered: dict[str, bool] = {}
    for line in trace:
        if found := RESUMED.match(line):
            thread, name, rest = found.groups()
            if name in ("fsync", "fdatasync") and rest.rstrip().endswith("= 0"):
                synced |= syncing.pop(thread, set())
            continue
        if not (found := CALL.match(line)):
            continue
        thread, name, _, file, rest = found.groups()
        if file.endswith("-wal") and name == "pwrite64":
            written |= {id for id in ids if id in rest}
        elif file.endswith("-wal") and name in ("fsync", "fdatasync"):
            syncing[thread] = set(written)
            if rest.rstrip().endswith("= 0"):
                synced |= syncing.pop(thread)
        elif file.startswith(("socket", "TCP")):
            answered |= {id: id in synced for id in ids if id in rest and id not in answered}
    return answered


WRITE, SYNC, FAILED, ANSWER = (
    '1 pwrite64(3<q.db-wal>, "ab", 2)',
    "1 fsync(3<q.db-wal>) = 0",
    "1 fsync(3<q.db-wal>) = -1 EIO",
    '2 sendto(5<TCP:[1]>, "ab")',
)


@pytest.mark.parametrize(
    ("trace", "verdict"),
    [
        ([WRITE, SYNC, ANSWER], True),
        ([WRITE, ANSWER, SYNC], False),
        ([SYNC, WRITE, ANSWER], False),
        ([WRITE, FAILED, ANSWER], False),
        ([WRITE, "1 fsync(3<q.db-wal> <unfinished ...>", "1 <... fsync resumed>) = 0", ANSWER], True),
        ([WRITE, "1 fsync(3<q.db-wal> <unfinished ...>", ANSWER, "1 <... fsync resumed>) = 0"], False),
    ],
)
def test_the_reading_of_the_trace_can_tell(trace: list[str], verdict: bool) -> None:
    assert synced_before_answer(trace, ["ab"]) == {"ab": verdict}
