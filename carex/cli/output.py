"""How commands speak: data to stdout, as a table for people or one JSON object for programs; talk to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from carex.errors import CarexError, Refused
from carex.masking import SHORTEST_IN_DATA, mask, redact

Json = typer.Option("--json", help="One JSON object on stdout, for programs.")
DryRun = typer.Option("--dry-run", help="Say what would be done, and do nothing.")
Yes = typer.Option("--yes", "-y", help="Do not ask.")


def emit(name: str, data: dict[str, Any]) -> None:
    """Print one JSON object of schema `carex.NAME/1`."""
    import json

    text = json.dumps({"schema": f"carex.{name}/1", **data}, ensure_ascii=False, default=str)
    sys.stdout.write(redact(text, SHORTEST_IN_DATA) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under headings; `empty` is said instead, on stderr, when there are none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    found = [[Text(discreet(str(cell)) if cell is not None else "–") for cell in row] for row in rows]
    if not found:
        talk(empty)
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in found:
        drawn.add_row(*row)
    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 10_000)
    console.print(drawn)


def talk(text: str) -> None:
    """Say something to the person, not to the program that reads our output."""
    typer.echo(redact(text), err=True)


def complain(error: CarexError) -> None:
    """An error: what was wrong, and what to try."""
    typer.secho(f"Error: {discreet(error.message)}", err=True, fg="red")
    if error.hint:
        talk(f"  → {visible(error.hint)}")  # ours, with USER:PASSWORD where a person is to write them


def confirm(question: str, yes: bool) -> None:
    """Ask before something that cannot be undone; without a terminal to ask on, only `--yes` will do."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            f"{question} There is no terminal to ask on.", "Say --yes to do it, or --dry-run to see what it is."
        )
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


def visible(text: str) -> str:
    """The text with control characters made visible: what came from outside must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def discreet(text: str) -> str:
    """The same, and without secrets: of the settings that could be read, and in any address."""
    return visible(mask(redact(text)))


def when(at: float | None) -> str:
    """A Unix time as a person reads it, in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else "–"


def ago(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
