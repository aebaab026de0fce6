"""Which of several homes on one queue this is: only one of them assigns people."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from carex.database import Connection, connect
from carex.people.schema import migrations

Register = Callable[[str], Awaitable[str]]
"""Records a home as the one that assigns people, first come, and returns the one that is."""


def home_of(connection: Connection) -> str:
    """This home's name: an id that moves with the file, and where it is, for people."""
    file = connection.execute("PRAGMA database_list").fetchone()["file"]
    return f"{home_id(connection)} {socket.gethostname()}:{file}"


def home_id(connection: Connection) -> str:
    return str(connection.execute("SELECT id FROM home").fetchone()["id"])


def home_at(path: Path) -> str:
    """The name of the home with this file, made if missing."""
    connection = connect(path, migrations())
    try:
        return home_of(connection)
    finally:
        connection.close()
