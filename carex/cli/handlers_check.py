"""`carex handlers check`: whether the plugins load, their settings fit, and the systems behind them answer."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli import Root, output
from carex.errors import CarexError, ConfigError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carex.plugin import Finding, Plugin
    from carex.registry import Broken

PATIENCE = 30.0
"""Seconds that the checks of one plugin may take."""


@dataclass(frozen=True)
class Line:
    """What is known about a plugin; `fix` says what to do if it is not well, or else is empty."""

    plugin: str
    text: str
    fix: str = ""


def check(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[PLUGIN]", help="Only this one.")] = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Check that plugins load, that their settings fit, and what they say themselves about the systems they call."""
    root: Root = ctx.obj
    loaded = [each for each in root.registry.loaded if name in (None, each.plugin.name)]
    broken = [each for each in root.registry.broken if name in (None, each.name)]
    if not loaded and not broken:
        raise NotFound(f"No plugin {name!r}.", "`carex handlers list` shows what there is.")
    lines = [broken_line(each) for each in broken]
    for each in loaded:
        lines += lines_of(root, each.plugin, each.package)
    if json:
        output.emit("handlers-check", {"ok": not any(each.fix for each in lines), "found": [*map(asdict, lines)]})
    else:
        rows = [["!" if each.fix else "ok", each.plugin, each.text] for each in lines]
        output.table(["", "Plugin", "Found"], rows, empty="No plugin.")
    wrong = [f"{each.plugin}: {each.fix}" for each in lines if each.fix]
    if wrong:
        raise CarexError(f"{len(wrong)} of {len(lines)} are not well.", "\n  → ".join(wrong))


def findings(root: Root, plugin: Plugin) -> Sequence[Finding]:
    """What a plugin's checks find; what they, or its client as it is opened, raise is among it. They change nothing."""
    from carex.cli.clients import client_of
    from carex.plugin import Finding

    async def ask() -> list[Finding]:
        async with client_of(root, plugin) as client:
            found = [finding for each in plugin.checks for finding in await each(client)]
        if not all(isinstance(each, Finding) for each in found):
            raise TypeError("a check must return a list of Finding")
        return found

    try:
        return asyncio.run(asyncio.wait_for(ask(), PATIENCE)) if plugin.checks or plugin.client else []
    except (asyncio.TimeoutError, TimeoutError):
        return [Finding(f"no answer within {PATIENCE:g} s", "See whether its system can be reached from here.")]
    except CarexError as error:
        return [Finding(error.message, error.hint or "See its README.")]
    except OSError as error:
        return [Finding(f"{type(error).__name__}: {error}", "See whether its system can be reached from here.")]
    except Exception as error:  # noqa: BLE001 - a stranger's code
        return [Finding(f"{type(error).__name__}: {error}", "This is a fault of the plugin: tell its author.")]


def broken_line(each: Broken) -> Line:
    return Line(each.name, f"cannot be loaded ({each.package}): {each.error}", each.fix)


def lines_of(root: Root, plugin: Plugin, package: str) -> Iterator[Line]:
    """What is to be said about one plugin: its settings, what it offers, and what its own checks find."""
    try:
        if plugin.settings:
            root.settings.plugin(plugin.name, plugin.settings)
        for handler in plugin.handlers.values():
            handler.schema()
    except ConfigError as error:
        yield Line(plugin.name, error.message, error.hint or f"Set it under [plugins.{plugin.name}], see its README.")
        return
    yield Line(plugin.name, f"{package}: {', '.join([*plugin.handlers, *plugin.webhooks, *plugin.strategies])}")
    for finding in findings(root, plugin):
        yield Line(plugin.name, finding.text, finding.fix)
