"""`carex migrate`: take over what the two systems have that Carex replaces."""

from __future__ import annotations

import typer

from carex.cli.migrate_camunda import camunda
from carex.cli.migrate_tasks import tasks

command = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@command.callback()
def migrate() -> None:
    """Take over an older installation's users, queues and settings."""


for each in (tasks, camunda):
    command.command()(each)
