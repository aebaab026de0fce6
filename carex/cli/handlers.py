"""`carex handlers`: task types, and the plugins they come from."""

from __future__ import annotations

import inspect
import json as jsons
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.handlers_check import check
from carex.cli.handlers_new import new
from carex.cli.handlers_run import run
from carex.errors import ConfigError

if TYPE_CHECKING:
    from carex.plugin import Handler
    from carex.registry import Registry

command = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@command.callback()
def handlers() -> None:
    """Task types, and the plugins they come from."""


@command.command("list")
def list_(ctx: typer.Context, json: Annotated[bool, output.Json] = False) -> None:
    """List the task types that can be worked on; broken plugins are named with their error."""
    root: Root = ctx.obj
    registry = root.registry
    found = [_facts(registry, handler) for _, handler in sorted(registry.handlers.items())]
    broken = [{"plugin": each.name, "package": each.package, "error": each.error} for each in registry.broken]
    broken += _unfit(registry)
    if json:
        output.emit("handlers", {"handlers": found, "broken": broken})
        return
    columns = ["type", "plugin", "package", "attempts", "timeout", "summary"]
    output.table([column.capitalize() for column in columns], _cells(found, columns), empty="No plugin has handlers.")
    for each in broken:
        plugin = f"Plugin {each['plugin']} ({each['package']})"
        output.talk(output.visible(f"{plugin} is broken, its tasks wait: {each['error']}"))


@command.command()
def show(
    ctx: typer.Context,
    type: Annotated[str, typer.Argument(metavar="TYPE")],
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Show what a task of this type is, and the schema of its payload."""
    root: Root = ctx.obj
    registry = root.registry
    handler = registry.handler(type)
    facts = {**_facts(registry, handler), "doc": inspect.getdoc(handler.function) or "", "schema": handler.schema()}
    if json:
        output.emit("handler", facts)
        return
    typer.echo(output.visible(f"{handler.type}  ({facts['package']}, plugin {facts['plugin']})\n\n{facts['doc']}\n"))
    typer.echo(f"Up to {handler.attempts} attempts of {output.ago(handler.timeout)} each. The payload:")
    typer.echo(jsons.dumps(facts["schema"], indent=2, ensure_ascii=False))


command.command("new")(new)
command.command("check")(check)
command.command("run")(run)


def _facts(registry: Registry, handler: Handler) -> dict[str, Any]:
    package = next(each.package for each in registry.loaded if each.plugin is handler.plugin)
    return {
        "type": handler.type,
        "plugin": handler.plugin.name,
        "package": package,
        "attempts": handler.attempts,
        "timeout": handler.timeout,
        "summary": handler.summary,
    }


def _unfit(registry: Registry) -> list[dict[str, str]]:
    """Plugins that a worker would refuse for a handler's annotation, as if they could not be loaded."""
    found = []
    for each in registry.loaded:
        try:
            for handler in each.plugin.handlers.values():
                handler.prepare()
        except ConfigError as error:
            found.append({"plugin": each.plugin.name, "package": each.package, "error": error.message})
    return found


def _cells(found: list[dict[str, Any]], columns: list[str]) -> list[list[object]]:
    return [[output.ago(each[name]) if name == "timeout" else each[name] for name in columns] for each in found]
