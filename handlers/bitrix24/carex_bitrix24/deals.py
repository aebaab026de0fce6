"""Deals: who got them and why, and what would be."""

from __future__ import annotations

import typer

from carex_bitrix24.deals_assign import assign
from carex_bitrix24.deals_explain import explain
from carex_bitrix24.deals_reconcile import reconcile
from carex_bitrix24.deals_report import report
from carex_bitrix24.deals_simulate import simulate

command = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@command.callback()
def deals() -> None:
    """Deals: who got them and why, and what would be."""


command.command()(explain)
command.command()(assign)
command.command()(simulate)
command.command()(report)
command.command()(reconcile)
