"""`carex camunda`: the process engine."""

from __future__ import annotations

import typer

from carex.cli.camunda_bridge import bridge, schema
from carex.cli.camunda_deploy import deploy
from carex.cli.camunda_processes import processes, start
from carex.cli.camunda_tasks import retries, tasks, unlock

command = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@command.callback()
def camunda() -> None:
    """The process engine: processes, external tasks, and the bridge to RabbitMQ."""


for each in (start, processes, tasks, unlock, retries, deploy, bridge, schema):
    command.command()(each)
