"""`carex version`."""

from __future__ import annotations

from typing import Annotated

from carex.cli import output


def command(json: Annotated[bool, output.Json] = False) -> None:
    """Say which Carex, Python and SQLite these are."""
    import platform

    from carex import __version__
    from carex.database import SQLITE_VERSION, wal_is_safe

    facts = {"carex": __version__, "python": platform.python_version(), "sqlite": SQLITE_VERSION}
    if json:
        output.emit("version", {**facts, "wal": wal_is_safe()})
    else:
        print(f"carex {__version__} · Python {facts['python']} · SQLite {facts['sqlite']}")
