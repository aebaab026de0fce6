"""`carex config`: settings, and where each one comes from."""

from __future__ import annotations

import asyncio
import json as jsons
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from carex.registry import Registry
    from carex.settings import Settings

command = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@command.callback()
def config() -> None:
    """Settings, and where each one comes from."""


@command.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Also where each value comes from.")] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Show every setting; secrets are hidden."""
    root: Root = ctx.obj
    settings = root.settings
    for name, model in _models(root.registry).items():
        if model:
            settings.plugin(name, model)
    rows = settings.rows()
    if json:
        output.emit("config", {"home": str(settings.home), "settings": [asdict(row) for row in rows]})
        return
    columns = ["Setting", "Value", "Origin"] if origin else ["Setting", "Value"]
    output.table(columns, ([row.key, _plain(row.value), row.origin][: len(columns)] for row in rows), empty="")


@command.command()
def check(ctx: typer.Context, json: Annotated[bool, output.Json] = False) -> None:
    """Check every setting, also those of the plugins, and name everything that is wrong."""
    from carex.cli.rules import doubts
    from carex.registry import load
    from carex.settings import problems

    root: Root = ctx.obj
    try:
        registry = root.registry
    except ConfigError:  # a setting is wrong; which one, is said below
        registry = load()
    found = problems(root.home, root.config, _models(registry)) or _misfits(root.settings, registry)
    odd = [] if found else doubts(root.settings)
    if json:
        output.emit("config-check", {"ok": not found, "problems": found, "warnings": odd})
    if found:
        raise ConfigError("\n".join(found))
    if not json:
        for each in odd:
            output.talk(f"Warning: {each}")
        output.talk("The settings are in order." if not odd else "The settings can be used.")


def _misfits(settings: Settings, registry: Registry) -> list[str]:
    """Settings that are fine one by one, but with which something would not start."""
    from carex.cli.process import queue_of
    from carex.cli.rules import misfits
    from carex.registry import SETTING
    from carex.server.gate import check_bind

    def closed() -> None:
        asyncio.run(queue_of(settings).close())

    found = [f"handlers: {each.name}: {each.error}" for each in registry.broken if each.package == SETTING]
    for attempt in (closed, partial(check_bind, settings)):
        try:
            attempt()
        except ConfigError as error:
            found.append(str(error))
    return [*found, *misfits(settings, registry)]


def _models(registry: Registry) -> dict[str, type[BaseModel] | None]:
    """The settings model of every plugin; None for a broken one."""
    from carex.settings import Section

    for broken in registry.broken:
        output.talk(f"Plugin {broken.name} ({broken.package}) is broken, its settings are not checked: {broken.error}")
    models: dict[str, type[BaseModel] | None] = {broken.name: None for broken in registry.broken}
    return models | {each.plugin.name: each.plugin.settings or Section for each in registry.loaded}


def _plain(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else jsons.dumps(value, ensure_ascii=False)
