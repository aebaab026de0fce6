"""`carex top`: how everything is, live."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli import Root
from carex.cli.snapshot import look, sample
from carex.errors import Unreachable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from carex.cli.snapshot import Sample

QUIT = "qQ\x03\x04"


def command(
    ctx: typer.Context,
    every: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="How often to look.")] = 2.0,
) -> None:
    """Show what `carex status` shows, live; q or Ctrl-C ends it. Without a terminal it is shown once."""
    from loguru import logger

    from carex.cli import status

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        status.command(ctx)
        return
    logger.remove()
    root: Root = ctx.obj
    before = asyncio.run(sample(root))
    _watch(root, before, every)


def _watch(root: Root, before: Sample, every: float) -> None:
    from rich.live import Live
    from rich.text import Text

    done = threading.Event()
    with _keys(done), Live(Text("Looking …"), screen=True, auto_refresh=False) as live:
        pause = min(every, 1.0)  # the first rates soon
        while not done.wait(pause):
            shown, before = _frame(root, before)
            live.update(shown, refresh=True)
            pause = every


def _frame(root: Root, before: Sample) -> tuple[RenderableType, Sample]:
    from rich.console import Group
    from rich.text import Text

    from carex.cli.status_view import draw

    try:
        snapshot, after = asyncio.run(look(root, before))
    except Unreachable as error:
        return Text(f"{error.message} Looking again …", style="red"), before
    return Group(draw(snapshot), Text("q quits", style="bright_black")), after


@contextmanager
def _keys(done: threading.Event) -> Iterator[None]:
    """Set `done` when q or Ctrl-C is pressed; the terminal is as before afterwards."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def read() -> None:
        while not done.is_set():
            key = sys.stdin.read(1)
            if not key or key in QUIT:
                done.set()

    tty.setraw(terminal, termios.TCSADRAIN)
    mode = termios.tcgetattr(terminal)
    mode[1] = before[1]  # what is written still begins new lines at their beginning
    termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
    threading.Thread(target=read, name="keys", daemon=True).start()
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
