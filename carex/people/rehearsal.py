"""A copy of `people.db` on which decisions can be tried: the same code decides, and nobody is given anything."""

from __future__ import annotations

import shutil
from pathlib import Path

from carex.database import Connection, connect, read
from carex.people.schema import migrations


def copy_people(file: Path, target: Path, *, fresh: bool = False) -> None:
    """Copy the employees and the ledger, also while others write to them; not a byte of the original changes.

    `fresh` leaves out what was decided so far, as if nobody had been given anything yet.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    log = file.with_name(f"{file.name}-wal")
    if log.is_file() and log.stat().st_size:  # others have it open, or died: its latest changes are in the log
        read(file, lambda connection: connection.execute("VACUUM INTO ?", (str(target),)))
    elif file.is_file():
        shutil.copyfile(file, target)
    connection = connect(target, migrations())
    try:
        if fresh:
            _forget(connection)
    finally:
        connection.close()


def _forget(connection: Connection) -> None:
    for table in ("decisions", "turns", "sources"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
