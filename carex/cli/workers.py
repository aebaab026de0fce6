"""`carex workers`: the processes that claim tasks, on every machine that shares the queue."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from carex.cli import output
from carex.cli.tasks import on_queue
from carex.queue import Holder


def command(ctx: typer.Context, json: Annotated[bool, output.Json] = False) -> None:
    """Look at the workers: who lives, since when, and what each has been doing for the longest."""
    found = sorted(on_queue(ctx.obj, lambda queue: queue.counts()).holders, key=lambda each: each.started)
    if json:
        output.emit("workers", {"workers": [_plain(each) for each in found]})
        return
    columns = ["Host", "PID", "Alive", "Started", "Last sign", "Running", "The longest", "Types"]
    output.table(columns, [_row(each) for each in found], empty="No worker. `carex worker` starts one.")


def _host(holder: Holder) -> str:
    """An id begins with the host and the process id."""
    return holder.id.rpartition(str(holder.pid))[0][:-1]


def _plain(holder: Holder) -> dict[str, Any]:
    return {**asdict(holder), "host": _host(holder)}


def _row(holder: Holder) -> list[object]:
    longest = f"{holder.doing} for {output.ago(time.time() - holder.since)}" if holder.since else ""
    alive = "yes" if holder.alive else "no: the next that claims takes its tasks"
    sign = f"{output.ago(holder.silent)} ago"
    started = output.when(holder.started)
    return [_host(holder), holder.pid, alive, started, sign, holder.running, longest, ", ".join(holder.types)]
