"""Is it alive, can it store, and the numbers of the whole installation."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.responses import Response

from carex.errors import ConfigError, Unreachable
from carex.limiter_stores import look
from carex.metrics import CONTENT_TYPE, installation_metrics
from carex.queue import Queue
from carex.server.answers import RETRY_AFTER, Problem, reply, within

if TYPE_CHECKING:
    from carex.settings import Settings


def add_routes(app: FastAPI, settings: Settings, queue: Queue) -> None:
    timeout, data = settings.server.accept_timeout, settings.home / "data"

    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="The server is alive", response_class=Response)
    async def health() -> Response:
        return reply(200, {"status": "alive"})

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", summary="A task could be stored now", response_class=Response)
    async def ready() -> Response:
        reasons = await _reasons(queue, data, timeout)
        if reasons:
            raise Problem(503, "not_ready", "; ".join(reasons), headers=RETRY_AFTER)
        return reply(200, {"status": "ready"})

    @app.get("/metrics", summary="Prometheus metrics of the installation", response_class=Response)
    async def metrics() -> Response:
        with within(timeout):
            counts = await queue.counts()
            limits = await asyncio.to_thread(look, settings.queue.url, data)
        text = installation_metrics(
            counts, settings.metrics.prefix, limits=limits, disk_free=shutil.disk_usage(settings.home).free
        )
        return Response(text, headers={"Content-Type": CONTENT_TYPE})


async def _reasons(queue: Queue, data: Path, timeout: float) -> list[str]:
    """Why nothing could be stored now; empty if it could."""
    reasons = []
    try:
        with within(timeout):
            await queue.put([])  # takes the way of every put, up to the commit
    except (Unreachable, ConfigError, Problem) as error:
        reasons.append(error.message)
    try:
        with within(timeout):
            await asyncio.to_thread(_write_a_little, data)
    except Problem as error:
        reasons.append(f"{data}: {error.message}")
    except OSError as error:
        reasons.append(f"{data}: {error.strerror}")
    return reasons


def _write_a_little(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * 65536)
