"""`carex init`: a home for Carex. It may be run again: what is there is kept."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from carex.cli import Root, output
from carex.errors import ConfigError

DOTENV = """\
# Secrets, and the older names of settings. Only the owner may read this file.

# The portal's inbound webhook:
# WEBHOOK_CAREX=https://PORTAL/rest/USER/SECRET/

# What callers from other machines show: in the robot's URL (/in/TOKEN/CarexRandom), and in a header.
CAREX_SERVER__INTAKE_TOKEN={intake}
CAREX_SERVER__ADMIN_TOKEN={admin}

# LOG_LEVEL=INFO
# REDIS_URL=redis://:PASSWORD@localhost:6379/0
"""


def command(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Write new carex.toml and .env; the old ones get the ending .old.")
    ] = False,
) -> None:
    """Write carex.toml and .env into the home folder and create the databases. What is there already is kept."""
    root: Root = ctx.obj
    dotenv = DOTENV.format(intake=secrets.token_urlsafe(24), admin=secrets.token_urlsafe(24))
    try:
        for folder, mode in ((root.home, 0o755), (root.home / "data", 0o700), (root.home / "logs", 0o750)):
            folder.mkdir(mode, parents=True, exist_ok=True)
        _write(root.config or root.home / "carex.toml", reference(), 0o644, force)
        _write(root.home / ".env", dotenv, 0o600, force)
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be written: {error.strerror}.",
            "Give yourself the right to write there, or choose another folder with --home.",
        ) from None
    if (root.home / ".env").stat().st_mode & 0o077:
        output.talk("! .env can be read by others: chmod 600 .env")
    asyncio.run(_databases(root))
    output.talk(
        "\nNext:\n"
        "  1. Set WEBHOOK_CAREX in .env to the portal's inbound webhook.\n"
        "  2. carex users add ID NAME       the employees who get work\n"
        "  3. carex serve --with-worker     take deals in and give them out"
    )


def reference() -> str:
    """The commented carex.toml: in the package once installed, beside it in the sources."""
    import carex

    package = Path(carex.__file__).parent
    inside = package / "carex.toml"
    return (inside if inside.is_file() else package.parent / "carex.toml").read_text(encoding="utf-8")


def _write(path: Path, text: str, mode: int, force: bool) -> None:
    if force and path.exists():
        path.replace(path.with_name(f"{path.name}.old"))
        output.talk(f"moved   {path.name} to {path.name}.old")
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        output.talk(f"kept    {path.name}")
        return
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(text)
    output.talk(f"wrote   {path.name}")


async def _databases(root: Root) -> None:
    from carex.cli.process import queue_of
    from carex.masking import mask
    from carex.people import open_people

    queue = queue_of(root.settings)
    await queue.close()
    people = open_people(root.people_file)
    await people.close()
    output.talk(f"ready   {mask(root.settings.queue.url)}\nready   data/{root.people_file.name}")
