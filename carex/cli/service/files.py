"""The files of a service: which there are, what is on disk, writing and removing them. Only Carex's own are touched."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carex.cli.service import logrotate
from carex.cli.service.plan import Part, Plan
from carex.cli.service.supervisor import Supervisor
from carex.cli.service.systemd import Systemd
from carex.errors import NotFound, Refused

Kind = Systemd | Supervisor
State = Literal["missing", "ours", "another home's", "not Carex's"]
LOGROTATE = Path("/etc/logrotate.d")


@dataclass(frozen=True)
class File:
    part: Part | None
    """None for the file of logrotate."""
    name: str
    """Of the unit or program."""
    path: Path
    content: str
    mark: str

    @property
    def state(self) -> State:
        """Whose the file is that is there now."""
        try:
            first = self.path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "not Carex's"
        if first == self.mark:
            return "ours"
        return "another home's" if re.match(r"[#;] Written by `carex service` for ", first) else "not Carex's"

    @property
    def current(self) -> bool:
        """Whether it says what would be written now."""
        return self.state == "ours" and self.path.read_text(encoding="utf-8") == self.content


def files_of(kind: Kind, plan: Plan, parts: Sequence[Part], directory: Path | None) -> list[File]:
    """The files of these parts and of logrotate. With a `directory` all of them are there."""
    folder = directory or next((each for each in kind.folders if each.is_dir()), kind.folders[0])
    files = []
    for part in parts:
        name = f"{plan.name}-{part}"
        content = kind.render(plan, part)
        files.append(File(part, name, folder / kind.filename(name), content, content.partition("\n")[0]))
    in_place = kind.is_system and directory is None
    path = LOGROTATE / plan.name if in_place else folder / f"{plan.name}.logrotate"
    return [*files, File(None, "logrotate", path, logrotate.render(plan), plan.mark("#"))]


def check(kind: Kind, files: Sequence[File], directory: Path | None) -> None:
    """Raises NotFound if the system has no such folder, Refused for a file that is not ours to write."""
    folder = files[0].path.parent
    if directory is None and kind.is_system and not folder.is_dir():
        raise NotFound(
            f"There is no folder {folder}: is {kind.title} installed here?",
            f"apt-get install {kind.title}, or say with --directory where its files go.",
        )
    for file in files:
        if file.state in ("not Carex's", "another home's"):
            raise Refused(
                f"{file.path} is there already and is {file.state}: it is left as it is.",
                "Move it away, or choose another name with --name.",
            )


def check_rights(files: Sequence[File]) -> None:
    """Raises Refused if a file may not be written, or removed, by this user."""
    for file in files:
        folder = next(each for each in file.path.parents if each.exists())
        if not os.access(folder, os.W_OK):
            raise Refused(
                f"{folder} can only be written by root.",
                "Put sudo in front of the whole command; or --user for a service of your own (systemd only).",
            )


def write(file: File) -> None:
    """Whole or not at all: nobody reads half a file."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.path.with_name(f".{file.path.name}.new")
    fresh.write_text(file.content, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(file.path)


def prepare(plan: Plan) -> list[str]:
    """Make the folders that Carex writes to; return the paths that the user who runs it may not use."""
    for folder in plan.writes:
        if not folder.exists():
            folder.mkdir(mode=0o750 if folder.name == "logs" else 0o700, parents=True)
            if os.geteuid() == 0:
                shutil.chown(folder, plan.user, plan.group)
    if plan.user == "root":
        return []
    number = pwd.getpwnam(plan.user).pw_uid
    paths = [path for path in (*plan.writes, plan.home / ".env") if path.exists()]
    return [str(path) for path in paths if path.stat().st_uid != number]
