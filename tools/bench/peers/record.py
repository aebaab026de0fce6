"""What a worker's handlers see, kept in memory and written to $BENCH_RECORD once $BENCH_EXPECT tasks have ended.

Times are CLOCK_MONOTONIC, which all processes of a machine share. Handlers that are too slow are cut short: after
`LIMIT` seconds the file is written with what there is.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path

FILE = Path(os.environ.get("BENCH_RECORD", os.devnull))
EXPECT = int(os.environ.get("BENCH_EXPECT", "0"))
LIMIT = 40.0

starts: list[float] = []
ends: list[float] = []
latencies: list[float] = []
cpu: dict[str, float] = {}
writing = threading.Lock()


async def work(sent: float, nap: float) -> None:
    """What every asynchronous handler does."""
    _begin(sent)
    if nap:
        await asyncio.sleep(nap)
    _end()


def work_in_thread(sent: float, nap: float) -> None:
    """What every handler in a thread does."""
    _begin(sent)
    if nap:
        time.sleep(nap)
    _end()


def _begin(sent: float) -> None:
    now = time.monotonic()
    if not starts:
        cpu.setdefault("first", time.process_time())
        FILE.with_suffix(".first").write_text(str(now))
    starts.append(now)
    latencies.append(now - sent)


def _end() -> None:
    now = time.monotonic()
    ends.append(now)
    if len(ends) == EXPECT or now - starts[0] > LIMIT:
        with writing:
            _write()


def _write() -> None:
    if not FILE.exists():
        found = {
            "ended": len(ends),
            "first_start": starts[0],
            "first_end": ends[0],
            "last_end": max(ends),
            "cpu": time.process_time() - cpu["first"],
            "latencies": latencies[:1000],
        }
        unfinished = FILE.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(found))
        unfinished.replace(FILE)
