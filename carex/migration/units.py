"""What kept the old programs running: units of systemd and programs of supervisor, by the names that they came with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

SYSTEMD = Path("/etc/systemd/system")
SUPERVISOR = (Path("/etc/supervisor/conf.d"), Path("/etc/supervisord.d"))
UNITS = ("camunda-worker*.service", "exchanger-*.service")
PROGRAMS = ("company_server", "company_worker")


class Runner(NamedTuple):
    """Who starts an old program, and the command that stops it for good."""

    kind: str
    name: str
    stop: str


def find_units(checkout: Path | None, installed: Path = SYSTEMD) -> list[Runner]:
    """The Camunda worker's units: those that are installed, and those of its checkout."""
    folders = [folder for folder in (installed, checkout) if folder is not None and folder.is_dir()]
    names = {path.name for folder in folders for glob in UNITS for path in folder.glob(glob)}
    return [
        Runner("systemd", name, f"sudo systemctl disable --now {name.removesuffix('.service')}")
        for name in sorted(names)
    ]


def find_programs(checkout: Path | None, installed: Iterable[Path] = SUPERVISOR) -> list[Runner]:
    """The deal distributor's programs: those that are installed, and those that the script of its checkout installs."""
    there = [folder / f"{name}.conf" for folder in installed for name in PROGRAMS]
    script = checkout / "src" / "Scripts" / "setup_supervisor.sh" if checkout is not None else None
    found = [path for path in there if path.is_file()]
    names = PROGRAMS if script is not None and script.is_file() else [path.stem for path in found]
    rest = {path.stem: f" && sudo rm {path} && sudo supervisorctl update" for path in found}
    return [
        Runner("supervisor", name, f"sudo supervisorctl stop {name}{rest.get(name, '')}")
        for name in dict.fromkeys(names)
    ]
