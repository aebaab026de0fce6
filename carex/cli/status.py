"""`carex status`: how everything is now, once."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from carex.cli import Root, output
from carex.cli.snapshot import Snapshot, look, sample

MEASURED = 1.0
"""Seconds over which the rates are taken."""


def command(ctx: typer.Context, json: Annotated[bool, output.Json] = False) -> None:
    """Show queue, rates, what waits and why, workers, failures by cause, the portal's limits, and the bridge."""
    from loguru import logger

    logger.remove()  # what is worth knowing is shown
    snapshot = asyncio.run(_measured(ctx.obj))
    if json:
        output.emit("status", asdict(snapshot))
    else:
        show(snapshot)


async def _measured(root: Root) -> Snapshot:
    before = await sample(root)
    await asyncio.sleep(MEASURED)
    return (await look(root, before))[0]


def show(snapshot: Snapshot) -> None:
    """Print it once; plain, and as wide as it is, where there is no terminal."""
    from rich.console import Console

    from carex.cli.status_view import draw

    terminal = sys.stdout.isatty()
    Console(width=None if terminal else 200, highlight=False).print(draw(snapshot))
