"""The handler that is measured, as a plugin from elsewhere brings it: found through its entry point."""

from __future__ import annotations

from dataclasses import dataclass

from carex import Context, Plugin

from peers import record

plugin = Plugin("bench")


@dataclass
class Work:
    sent: float
    nap: float


@plugin.handler("bench_work")
async def work(work: Work, ctx: Context) -> None:
    """Sleep for `nap` seconds and note when it began and ended."""
    await record.work(work.sent, work.nap)
