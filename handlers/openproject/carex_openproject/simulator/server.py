"""The simulated OpenProject on a real port."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from carex.testing import served
from carex_openproject.simulator.instance import Instance


def serve(instance: Instance, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
    """Run it in this loop and yield its URL. Port 0 means any free one."""
    return served(instance.asgi(), host, port)
