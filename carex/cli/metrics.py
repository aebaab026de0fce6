"""`carex metrics`: what Prometheus is told, and when it should wake somebody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from carex.cli import Root, output

command = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Metric:
    """`name` is as Prometheus has it; `process` is whose port has it."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str
    process: str


def catalogue(prefix: str = "company") -> Iterator[Metric]:
    """Every metric that Carex exports, made from what exports them. Beside them workers and bridges have those that
    prometheus_client has for every process (process_*, python_*)."""
    from carex import metrics
    from carex.camunda.stats import Stats
    from carex.queue import Counts
    from carex.rabbitmq.metrics import families

    for process, found in (
        ("serve", metrics.families(Counts({}, 0.0, {}), prefix, {}, 0)),
        ("worker --metrics-port", families()),
        ("camunda bridge --metrics-port", Stats().collect()),
    ):
        for family in found:
            yield _metric(family, process)


def _metric(family: Any, process: str) -> Metric:
    ending = {"counter": "_total", "info": "_info"}.get(family.type, "")
    labels = family._labelnames or tuple(name for sample in family.samples[:1] for name in sample.labels)
    return Metric(family.name + ending, family.type, tuple(labels), family.documentation, process)


@command.command("alerts")
def alerts(ctx: typer.Context, json: Annotated[bool, output.Json] = False) -> None:
    """Print alert rules for Prometheus, as a rule file; its jobs for Carex are to be named carex…"""
    from carex.alerts import as_yaml, groups

    root: Root = ctx.obj
    prefix = root.settings.metrics.prefix
    if json:
        output.emit("metrics-alerts", {"groups": groups(prefix)})
    else:
        typer.echo(as_yaml(prefix), nl=False)


@command.command("list")
def show(ctx: typer.Context, json: Annotated[bool, output.Json] = False) -> None:
    """List the metrics: what they mean, and which process has them."""
    root: Root = ctx.obj
    found = list(catalogue(root.settings.metrics.prefix))
    if json:
        output.emit("metrics", {"metrics": [asdict(each) for each in found]})
        return
    output.table(
        ["name", "type", "labels", "meaning", "process"],
        [(each.name, each.type, ", ".join(each.labels), each.meaning, each.process) for each in found],
        empty="There are no metrics.",
    )
