"""What the files of a service are made from, gathered once: who runs what, where, and with which rights."""

from __future__ import annotations

import math
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from carex.cli.process import STOPPING
from carex.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from carex.cli import Root
    from carex.settings import Settings

Part = Literal["serve", "worker", "bridge"]
PARTS: dict[Part, tuple[str, ...]] = {"serve": ("serve",), "worker": ("worker",), "bridge": ("camunda", "bridge")}
"""Each with its command."""
TASKS: dict[Part, str] = {
    "serve": "takes work in over HTTP",
    "worker": "runs the handlers of waiting tasks",
    "bridge": "carries an engine's tasks to RabbitMQ and the answers back",
}
LAST = 10
"""Seconds beyond what a part promises to need for its end, before it is killed."""


@dataclass(frozen=True)
class Plan:
    """Everything that the files say. All paths are absolute."""

    name: str
    """What the units are called: NAME-serve, NAME-worker, NAME-bridge."""
    home: Path
    carex: tuple[str, ...]
    """The command `carex` with its options for this home."""
    user: str
    group: str
    stop: int
    """Seconds that a part may take to stop."""
    writes: tuple[Path, ...]
    """The folders that Carex writes to."""
    reads: tuple[Path, ...]
    """Where its code and settings are."""
    port: int = 8000

    def command(self, part: Part) -> list[str]:
        return [*self.carex, *PARTS[part]]

    def mark(self, comment: str) -> str:
        """The first line of each file: by it Carex knows its own."""
        return f"{comment} Written by `carex service` for {self.home}"

    def lies_below(self, *folders: str) -> bool:
        """Whether anything that Carex needs is in one of these folders."""
        needed = {each for path in (*self.writes, *self.reads) for each in (path, path.resolve())}
        return any(path.is_relative_to(folder) for path in needed for folder in folders)


def plan_of(root: Root, name: str, user_name: str | None) -> Plan:
    """Raises NotFound if there is no such user, ConfigError for a path that no such file can hold."""
    settings = root.settings
    owner = _owner(root.home, user_name)
    data = [root.home / "data", root.home / "logs"]
    plan = Plan(
        name=name,
        home=root.home,
        carex=tuple(_carex(root)),
        user=owner.pw_name,
        group=_group(owner.pw_gid),
        stop=math.ceil(settings.worker.grace + STOPPING) + LAST,
        writes=tuple(dict.fromkeys([*data, *_queue_folder(settings, data[0])])),
        reads=(root.home, *_code(root)),
        port=settings.server.port,
    )
    for text in (*plan.carex, *map(str, plan.writes)):
        if not text.isprintable() or set(text) & set("\"'\\"):
            raise ConfigError(
                f"{text!r} cannot stand in a service's file: it has quotes, a backslash or control characters.",
                "Move it to a folder with a plainer name.",
            )
    return plan


def configured(settings: Settings) -> list[Part]:
    """The parts that this home has use for."""
    return ["serve", "worker", *(["bridge"] if settings.camunda.base_url else [])]  # type: ignore[list-item]


def _carex(root: Root) -> list[str]:
    # Not `python -m`, if there is a choice: it would import what lies in its working folder, the home.
    script = Path(sys.executable).with_name("carex")
    command = [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "carex"]
    config = ["--config", str(root.config.absolute())] if root.config else []
    return [*command, "--home", str(root.home), *config]


def _code(root: Root) -> list[Path]:
    # Without the first entry: it is the folder of the script, or the one we happen to be in.
    paths = map(Path, [sys.executable, sys.base_prefix, *sys.path[1:]])
    return [path for path in (*paths, (root.config or root.home).absolute()) if path.is_absolute()]


def _queue_folder(settings: Settings, data: Path) -> list[Path]:
    scheme, _, rest = settings.queue.url.partition("://")
    folder = Path(rest).absolute().parent
    return [folder] if scheme == "sqlite" and not folder.is_relative_to(data) else []


def _owner(home: Path, user_name: str | None) -> pwd.struct_passwd:
    try:
        if user_name is not None:
            return pwd.getpwnam(user_name)
        return pwd.getpwuid(home.stat().st_uid if home.exists() else os.geteuid())
    except KeyError:
        if user_name is None:
            raise NotFound(f"The owner of {home} has no name on this machine.", "Say --user-name NAME.") from None
        raise NotFound(
            f"There is no user {user_name} on this machine.",
            f"useradd --system --home-dir {home} --shell /usr/sbin/nologin {user_name}",
        ) from None


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
