"""Processes that are measured: started in sessions of their own, watched through /proc, ended by their id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def environment(**more: str) -> dict[str, str]:
    """Ours, without anything that would set Carex up differently."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CAREX_", "WEBHOOK_", "REDIS_"))}
    return {**kept, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE / 'plugin'}", **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], env: Mapping[str, str], said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process and its children for as long as the block lasts; what they print goes to the file `said`."""
    with said.open("ab") as out:
        process = subprocess.Popen(
            command, env=env, cwd=HERE, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            until(lambda: process.poll() is not None and not _session(process), patience)


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition; False if it did not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def memory(process: subprocess.Popen[bytes]) -> float:
    """MiB that a process and its children have in memory (RSS)."""
    return sum(int(stat[21]) for stat in _session(process)) * PAGE / 2**20


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU that a process and its children have used."""
    return sum(int(stat[11]) + int(stat[12]) for stat in _session(process)) / TICKS


def _session(process: subprocess.Popen[bytes]) -> list[list[str]]:
    """/proc/PID/stat, from the state on, of all living processes of the session that this process leads."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            stat = each.read_text().rpartition(")")[2].split()
            if int(stat[3]) == process.pid and stat[0] != "Z":
                found.append(stat)
    return found


@contextmanager
def redis_server(folder: Path, fsync: str) -> Iterator[int]:
    """A Redis of our own with the log that keeps tasks (AOF); gives its port."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is missing: on Debian and Ubuntu `apt-get install redis-server`.")
    data, port = folder / "redis", free_port()
    data.mkdir()
    keep = ("--save", "", "--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0")
    command = (program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data), *keep)
    with running(command, environment(), folder / "redis.txt") as process:
        if not until(lambda: process.poll() is not None or _answers(port), 10):
            raise SystemExit(f"redis-server did not start: see {folder / 'redis.txt'}.")
        yield port


def _answers(port: int) -> bool:
    try:
        return redis(port, "PING") == "PONG"
    except OSError:
        return False


def redis(port: int, *words: str) -> str:
    """One command's one-line answer, without its type."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection, connection.makefile("rwb") as file:
        file.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        file.flush()
        return file.readline()[1:].decode().strip()


def server_version() -> str:
    program = shutil.which("redis-server")
    if program is None:
        return "none"
    said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    return said.partition("v=")[2].partition(" ")[0]
