"""`carex handlers new`: a plugin to begin with. It is `handlers/example` of the sources, under another name."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from carex.cli import output
from carex.errors import Refused, UsageError

EXAMPLE = "example"
FILES = (
    "pyproject.toml",
    "README.md",
    "carex_example.py",
    "tests/test_example.py",
    ".github/workflows/test.yml",
    ".gitignore",
)
LONGEST = 40


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _: as in send_sms.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="Where to make its folder.")] = Path(),
) -> None:
    """Make a plugin of your own: a handler, its test and what it takes to publish it, in the folder carex-NAME."""
    _check(name)
    folder = into / f"carex-{name.replace('_', '-')}"
    if folder.exists():
        raise Refused(f"{folder} is there already.", "Choose another name, or another place with --into.")
    try:
        for file in FILES:
            path = folder / named(file, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(named((_example() / file).read_text(encoding="utf-8"), name), encoding="utf-8")
            output.talk(f"wrote   {path}")
    except OSError as error:
        raise Refused(
            f"{error.filename} cannot be written: {error.strerror}.", "Choose another place with --into."
        ) from None
    typer.echo(folder)
    output.talk(
        f"\nNext, in the environment of Carex:\n"
        f"  1. pip install -e {folder}\n"
        f"  2. carex handlers check {name}\n"
        f"  3. carex handlers run {name}_greet name=Anna"
    )


def named(text: str, name: str) -> str:
    """The example's text for a plugin of this name."""
    return text.replace(f"carex-{EXAMPLE}", f"carex-{name.replace('_', '-')}").replace(EXAMPLE, name)


def _check(name: str) -> None:
    proper = re.sub(r"[^a-z0-9]+", "_", name.lower().removeprefix("carex")).strip("_")[:LONGEST]
    if keyword.iskeyword(proper):
        proper = f"my_{proper}"
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{LONGEST - 1}}}", name) or keyword.iskeyword(name):
        hint = f"For example: carex handlers new {proper}" if re.match("[a-z]", proper) else None
        raise UsageError(f"{name!r} cannot be a plugin's name: small letters, digits and _, a letter first.", hint)
    if name in _taken():
        raise Refused(f"There is a plugin {name} already.", "Choose another name; `carex handlers list` shows all.")


def _taken() -> set[str]:
    from importlib.metadata import entry_points

    from carex.registry import GROUP

    return {point.name for point in entry_points(group=GROUP)}


def _example() -> Path:
    """In the package once installed, beside it in the sources."""
    import carex

    package = Path(carex.__file__).parent
    inside = package / EXAMPLE
    return inside if inside.is_dir() else package.parent / "handlers" / EXAMPLE
