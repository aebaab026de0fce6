"""Watch Carex at work on a simulated portal; needs nothing."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli import output
from carex.errors import ConfigError
from carex_bitrix24.demo_board import RATE, Board, Verdict

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130


def command(
    deals: Annotated[int, typer.Option(min=1, max=5000, help="How many deals arrive.")] = 200,
    json: Annotated[bool, output.Json] = False,
    without_ledger: Annotated[
        bool, typer.Option("--without-ledger", help="Draw anew at every attempt: shows what the ledger is for.")
    ] = False,
    seed: Annotated[int, typer.Option(help="For other arrivals and mishaps; who is drawn is always new.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary home, and say where it is.")] = False,
) -> None:
    """Show Carex at work: deals arrive at a real server, a real worker gives them to employees of a simulated portal.

    The portal limits, fails and recovers, and the worker is killed. The portal's own ledger says whether a deal was
    lost or given to two people; if so, the exit code is 1.
    """
    from rich.console import Console

    board = Board(deals)
    home = _home()
    try:
        verdict = _show(board, home, Console(stderr=json, highlight=False), json, not without_ledger, seed)
    except (KeyboardInterrupt, asyncio.CancelledError):
        output.talk("Interrupted. Everything that was started has been stopped.")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if keep:
            output.talk(f"The home is kept: carex --home {home} tasks list")
        else:
            shutil.rmtree(home, ignore_errors=True)
    if json:
        output.emit("demo", verdict.as_json())
    raise typer.Exit(0 if verdict.good else 1)


def _show(board: Board, home: Path, console: Console, json: bool, ledger: bool, seed: int) -> Verdict:
    from carex_bitrix24.demo_view import Lines, Picture, print_verdict

    live = console.is_terminal and not console.is_dumb_terminal and not json
    with (Picture if live else Lines)(board, console) as view:
        verdict = asyncio.run(_perform(board, home, ledger, seed, view.look))
    if not json:
        print_verdict(verdict, console)
        console.print(_next(verdict, ledger), soft_wrap=True)
    return verdict


async def _perform(board: Board, home: Path, ledger: bool, seed: int, look: Callable[[], None]) -> Verdict:
    from carex_bitrix24.demo_stage import open_stage

    _call_off_on_signals()
    async with open_stage(home, rate=RATE, ledger=ledger) as stage:
        from carex_bitrix24.demo_story import tell  # brings the simulated portal, while the others start

        return await tell(board, stage, seed=seed, look=look)


def _call_off_on_signals() -> None:
    """The first signal ends the story; further ones must not disturb the cleaning up, which is short."""
    performance = asyncio.current_task()
    signals: list[int] = []

    def call_off(number: int) -> None:
        signals.append(number)
        if performance and len(signals) == 1:
            performance.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, call_off, number)


def _home() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="carex-demo-"))
    except OSError as error:
        raise ConfigError(f"There is no folder for temporary files: {error.strerror}.", "Set TMPDIR to one.") from None


def _next(verdict: Verdict, ledger: bool) -> str:
    if not ledger:
        return "\nThe decision ledger was off: every attempt drew anew. Compare with: carex demo"
    if not verdict.good:
        return "\nThis should not happen. `carex demo --keep` keeps the logs; please report it."
    return "\nNext: carex init sets Carex up for your own portal; the README leads through it."
