"""The command `carex`. A group's file is imported when it is called, so that `--help` costs what Typer costs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from carex.errors import CarexError

if TYPE_CHECKING:
    from types import TracebackType

    from carex.registry import Registry
    from carex.settings import Settings

COMMANDS = {
    "init": "Write carex.toml and .env here and create the databases.",
    "doctor": "Look at everything that is configured, and say what is wrong and how to mend it.",
    "status": "Show how everything is now: tasks, rates, workers, failures, limits, the bridge.",
    "top": "Show how everything is, live.",
    "serve": "Take work in over HTTP.",
    "worker": "Run the handlers of waiting tasks.",
    "workers": "Look at the workers, and what each is doing.",
    "send": "Put a task by hand.",
    "tasks": "Look at tasks.",
    "errors": "Look at failed tasks, retry or delete them.",
    "users": "Employees who can be given work.",
    "handlers": "Task types, and the plugins they come from.",
    "camunda": "The process engine: processes, external tasks, and the bridge to RabbitMQ.",
    "queues": "Look at RabbitMQ's queues, and whether all is as it should be.",
    "service": "Keep Carex running with systemd or supervisor, and its logs short with logrotate.",
    "migrate": "Take over an older installation's users, queues and settings.",
    "metrics": "What Prometheus is told, and alert rules for it.",
    "config": "Settings, and where each one comes from.",
    "version": "Say which Carex this is.",
}
"""Each is `command` in `carex/cli/NAME.py`: a function, or a Typer application for a group."""


@dataclass
class Root:
    """What the options before the command say; `ctx.obj` of every command."""

    home: Path
    config: Path | None = None
    debug: bool = False
    flags: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        from carex.settings import load

        return load(self.home, self.config, self.flags)

    @cached_property
    def registry(self) -> Registry:
        """The plugins: those that are installed, and those that the settings name."""
        from carex.registry import load

        return load(handlers=self.settings.handlers, home=self.home)

    @property
    def people_file(self) -> Path:
        """Where employees and decisions are kept; known without reading any setting."""
        return self.home / "data" / "people.db"


class LazyGroup(TyperGroup):
    """Lists every command by its help text, and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *(name for name in sorted(_plugin_commands()) if name not in COMMANDS)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        text = COMMANDS.get(cmd_name)
        if text is None:
            point = _plugin_commands().get(cmd_name)
            if point is None:
                return None
            text = _docstring(point.module)
        return TyperCommand(cmd_name, help=text, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, (_load(str(name)) if command is not None else None), rest


@cache  # whoever is forked, and runs a command that its nursery has run, need not build it
def _load(name: str) -> Any:
    if name in COMMANDS:
        found = importlib.import_module(f"carex.cli.{name}").command
    else:
        found = _plugin_commands()[name].load()
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        single.command(name)(found)
        found = single
    command = get_command(found)
    command.name = name
    return command


def _plugin_commands() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="carex.commands")}


def _docstring(module: str) -> str:
    """The first line of a module's docstring, read without importing its package."""
    import ast
    from importlib.machinery import PathFinder

    top, *rest = module.split(".")
    spec = PathFinder.find_spec(top)
    if spec and spec.submodule_search_locations:
        file = Path(spec.submodule_search_locations[0], *rest).with_suffix(".py")
        if file.is_file():
            return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return f"From {top}."


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[Path, typer.Option(envvar="CAREX_HOME", help="The folder of data/ and logs/.")] = Path(),
    config: Annotated[Path | None, typer.Option(help="The settings file.", show_default="HOME/carex.toml")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Carex moves work between Bitrix24, Camunda 7 engines, RabbitMQ, OpenProject and 1C without losing any."""
    ctx.obj = Root(home.absolute(), config, debug)
    sys.excepthook = _unexpected


@cache
def _all() -> Any:
    return get_command(app)


def main() -> None:
    """Run the command line; an error becomes one or two lines on stderr and its exit code."""
    debug = "--debug" in sys.argv
    try:
        _all()()
    except CarexError as error:
        if debug:
            raise
        from carex.cli.output import complain

        complain(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone: `carex tasks list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What no command expected, until the log is set up: then that reports it."""
    from carex.cli.output import discreet

    if "--debug" in sys.argv:
        said = "".join(traceback.format_exception(kind, error, trace))
    else:
        said = f"Error: {kind.__name__}: {error}\n  → Nobody expected this; with --debug after `carex` it says where.\n"
    sys.stderr.write(discreet(said))
