"""Durable intake: requests a second that a server accepts and has stored, counted afterwards in its store."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from contenders import PLAIN_STANDARD, Contender
from processes import environment, free_port, redis, running, until
from steps import Failed, Sizes, Stage, Values, last_said, run, stage

CONNECTIONS = (32, 1)


def intake(contender: Contender, python: Path, sizes: Sizes) -> Values:
    with stage(contender, python) as on:
        port, said = free_port(), on.folder / "server.txt"
        with running(_server(on, port), on.env, said) as process:
            if not until(lambda: process.poll() is not None or _listens(port), 20) or process.poll() is not None:
                raise Failed(f"the server did not start; it said last: {last_said(said)}")
            accepted, found = 0, Values()
            for number, connections in enumerate(CONNECTIONS, 1):
                words = (port, connections, sizes.seconds, number * 10_000_000)
                load = run([sys.executable, "-m", "plain.load", *map(str, words)], environment())
                if load["accepted"] != load["calls"]:
                    raise Failed(f"{load['calls'] - load['accepted']} of {load['calls']} requests were not accepted")
                accepted += load["accepted"]
                found |= {f"{key}_{connections}": load[key] for key in ("rate", "p50", "p99")}
        stored = _stored(on)
    if stored != accepted:
        raise Failed(f"{accepted} requests were accepted, but {stored} are stored")
    return found


def _server(on: Stage, port: int) -> list[str]:
    if on.contender.is_carex:
        return [str(on.python), "-m", "carex", "--home", str(on.folder), "serve", "--port", str(port)]
    quiet = ["--no-access-log"] if on.contender == PLAIN_STANDARD else []
    return [str(on.python), "-m", "uvicorn", "plain.server:app", "--port", str(port), *quiet]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _stored(on: Stage) -> int:
    if not on.contender.is_carex:
        return int(redis(int(on.env["BENCH_REDIS"].rpartition(":")[2].removesuffix("/0")), "LLEN", "tasks"))
    from carex.queue import open_queue

    async def count() -> int:
        queue = open_queue(on.env["BENCH_QUEUE"])
        try:
            return (await queue.counts()).of("waiting")
        finally:
            await queue.close()

    return asyncio.run(count())
