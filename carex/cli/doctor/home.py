"""The home folder: rights, room on the disk, and whether the files in it can be trusted."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from carex.cli import Root
from carex.cli.doctor.line import Line, note, ok, warning, wrong
from carex.errors import CarexError

TIGHT, FULL = 1 << 30, 100 << 20
"""Bytes of free disk below which there is a warning, and below which it is wrong."""
LONGEST_LOOK = 500 << 20
"""Larger files are not read through: that would take too long."""
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph"})
"""File systems over a network, whose locks SQLite cannot rely on (sqlite.org/howtocorrupt.html)."""


def look(root: Root) -> Iterator[Line]:
    data = root.home / "data"
    yield from _folder(data, 0o077, "carex init")
    yield from _folder(root.home / "logs", 0o007, "carex init")
    yield from _disk(root.home)
    yield _sqlite()
    for path in sorted(data.glob("*.db")) if os.access(data, os.X_OK) else ():
        yield from _file(path)


def _folder(path: Path, others: int, made_by: str) -> Iterator[Line]:
    if not path.exists():
        if os.access(_nearest(path), os.W_OK):
            yield note(f"{path} is not there yet; `{made_by}` makes it")
        else:
            yield wrong(f"{path} is not there, and cannot be made", f"sudo install -d -o $(id -un) -m 700 {path}")
    elif not path.is_dir():
        yield wrong(f"{path} is not a folder", "Move it away, or choose another home with --home.")
    elif not os.access(path, os.W_OK | os.X_OK):
        owner = path.stat().st_uid
        yield wrong(f"{path} cannot be written (it belongs to user {owner})", f"sudo chown -R $(id -un) {path}")
    elif path.stat().st_mode & others:
        mode = stat.S_IMODE(path.stat().st_mode)
        yield warning(f"{path} is open to others (mode {mode:04o})", f"chmod {mode & ~others:o} {path}")
    else:
        yield ok(f"{path} can be written, by us alone" if others == 0o077 else f"{path} can be written")


def _disk(home: Path) -> Iterator[Line]:
    place = _nearest(home)
    yield room(place, shutil.disk_usage(place).free)
    kind = _file_system(place)
    if kind in REMOTE:
        yield wrong(
            f"{place} is on a network file system ({kind}): SQLite's files can be damaged there",
            "Move the home to a local disk; to share a queue between machines, use Redis (queue.url).",
        )


def room(place: Path, free: int) -> Line:
    """What so many free bytes mean."""
    text = f"{free / (1 << 30):.3g} GiB free on the disk of {place}"
    fix = "Make room: old logs (logs/*.gz), finished tasks (queue.keep_done), or another disk."
    return wrong(text, fix) if free < FULL else warning(text, fix) if free < TIGHT else ok(text)


def _sqlite() -> Line:
    from carex import database

    driver = database.Connection.__module__.partition(".")[0]
    text = f"SQLite {database.SQLITE_VERSION} ({driver})"
    if database.wal_is_safe():
        return ok(f"{text}, in WAL mode")
    return warning(
        f"{text} has a fault with WAL: Carex uses TRUNCATE, which is safe, and slower",
        "Install the wheel pysqlite3-binary beside Carex, or SQLite 3.51.3 or later.",
    )


def _file(path: Path) -> Iterator[Line]:
    from carex.database import read

    if not os.access(path, os.R_OK | os.W_OK):
        yield wrong(f"{path} cannot be read and written by us", f"sudo chown $(id -un) {path}*")
        return
    if path.stat().st_mode & 0o077:
        yield warning(f"{path} is open to others", f"chmod 600 {path}*")
    if path.stat().st_size > LONGEST_LOOK:
        return
    restore = f"Stop Carex, move {path.name} aside, and restore a backup; nothing was changed."
    try:
        found = [
            row[0] for row in read(path, lambda connection: connection.execute("PRAGMA quick_check(3)").fetchall())
        ]
    except CarexError as error:
        yield wrong(error.message, error.hint or restore)
        return
    yield ok(f"{path.name} is sound") if found == ["ok"] else wrong(f"{path} is damaged: {'; '.join(found)}", restore)


def _nearest(path: Path) -> Path:
    """The folder itself, or the first one above it that is there."""
    return next(each for each in (path, *path.parents) if each.is_dir())


def _file_system(path: Path) -> str:
    """The kind of file system that a folder is on; empty where Linux does not tell."""
    try:
        mounts = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    over = [(each[1], each[2]) for each in mounts if path.resolve().is_relative_to(each[1].replace("\\040", " "))]
    return max(over, key=lambda each: len(each[0]), default=("", ""))[1]
