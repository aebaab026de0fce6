"""An environment for each contender, made once and kept, so that no library's pins hold another one back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from contenders import Contender, python_version

INSTALL_TIMEOUT = 300.0


class Unavailable(Exception):
    """A contender cannot take part; the message says why."""


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carex-bench"


def prepare(contender: Contender, folder: Path) -> Path:
    """The interpreter that has this contender's libraries. Raises Unavailable."""
    if not contender.requirements:
        return Path(sys.executable)
    place = folder / f"{contender.name}-{python_version()}"
    python, stamp = place / "bin" / "python", place / "requirements"
    wanted = "\n".join(contender.requirements)
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    for command in _commands(place, python, contender.requirements):
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"took longer to install than {INSTALL_TIMEOUT:g} s") from None
        if ended.returncode:
            raise Unavailable(f"could not be installed: {(ended.stderr.strip().splitlines() or ['?'])[-1]}")
    stamp.write_text(wanted)
    return python


def _commands(place: Path, python: Path, requirements: tuple[str, ...]) -> list[list[str]]:
    ours = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
    if shutil.which("uv"):
        install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *requirements]
        return [["uv", "venv", "--quiet", "--clear", "--python", ours, str(place)], install]
    return [
        [ours, "-m", "venv", "--clear", str(place)],
        [str(python), "-m", "pip", "install", "--quiet", *requirements],
    ]
