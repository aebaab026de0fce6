"""Whether the settings hold, fit together, and keep their secrets."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from carex.cli import Root
from carex.cli.doctor.line import Line, ok, warning, wrong
from carex.errors import CarexError, ConfigError
from carex.masking import HIDDEN

if TYPE_CHECKING:
    from carex.settings import Settings


def look(root: Root) -> Iterator[Line]:
    from carex import __version__

    yield ok(f"Carex {__version__}, Python {sys.version.split()[0]}, home {root.home}")
    found = list(_problems(root))
    yield from found
    if any(line.level == "wrong" for line in found):
        return
    given = {row.origin.partition(":")[0] for row in root.settings.rows() if row.origin != "default"}
    yield ok(f"the settings hold ({', '.join(sorted(given)) or 'all of them defaults'})")
    yield from _modes(root)
    yield from _server(root.settings)


def _problems(root: Root) -> Iterator[Line]:
    from carex.cli.rules import misfits
    from carex.registry import SETTING, load
    from carex.server.gate import check_bind
    from carex.settings import Section, problems

    try:
        settings, registry = root.settings, root.registry
    except ConfigError:
        settings, registry = None, load()
    models = {
        **{each.name: None for each in registry.broken},
        **{each.plugin.name: each.plugin.settings or Section for each in registry.loaded},
    }
    for text in problems(root.home, root.config, models):
        yield wrong(text, "Correct it there; the commented carex.toml says what each setting takes.")
    if settings is None:
        return
    for each in registry.broken:
        if each.package == SETTING:
            yield wrong(f"handlers: {each.name}: {each.error}", "Mend that module, or take it out of `handlers`.")
    try:
        for text in misfits(settings, registry):
            yield wrong(text, "Correct the table [people], or install the plugin that offers it.")
    except CarexError as error:
        yield wrong(error.message, error.hint or "Correct the table [people].")
    try:
        check_bind(settings)
    except CarexError as error:
        yield wrong(error.message, error.hint or "Correct the table [server].")


def _modes(root: Root) -> Iterator[Line]:
    """Files with secrets are their owner's alone."""
    toml = root.config or root.home / "carex.toml"
    name = root.settings.sources.file
    inside = [row.key for row in root.settings.rows() if row.origin.startswith(f"{name}:") and HIDDEN in str(row.value)]
    for path, secrets in ((root.home / ".env", ["everything in it"]), (toml, inside)):
        if secrets and _open_to_others(path):
            mode = stat.S_IMODE(path.stat().st_mode)
            yield wrong(
                f"{path} can be read by others (mode {mode:04o}), and has secrets: {', '.join(secrets)}",
                f"chmod 600 {path}",
            )


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def _server(settings: Settings) -> Iterator[Line]:
    if settings.server.open_intake:
        yield warning(
            "server.open_intake is true: whoever reaches the server may put tasks without a token",
            "Put /in/TOKEN before the path in the robots' URLs, then take it out.",
        )
    for name in ("intake_token", "admin_token"):
        token = getattr(settings.server, name)
        if token is not None and len(token.get_secret_value()) < 16:
            yield warning(
                f"server.{name} is short enough to be guessed",
                "Take a long random one: python3 -c 'import secrets; print(secrets.token_urlsafe(24))'",
            )
