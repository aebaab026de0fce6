"""`carex camunda deploy`: models to the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import Root, output
from carex.cli.camunda_engine import on_engine
from carex.cli.camunda_processes import Tenant
from carex.errors import UsageError

if TYPE_CHECKING:
    from carex.camunda.models import Model

MODELS = (".bpmn", ".bpmn20.xml")


def deploy(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Models, decisions, forms; they go together.")],
    name: Annotated[str | None, typer.Option(help="The deployment's name.", show_default="the first file's")] = None,
    tenant: Tenant = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Deploy files to the engine, and say which topics they bring. What it has already is left alone."""
    root: Root = ctx.obj
    contents = {file.name: _read(file) for file in files}
    if len(contents) < len(files):
        raise UsageError("Two of the files have the same name.", "The engine tells files of one deployment by name.")
    models = {name: _model(name, content) for name, content in contents.items() if name.endswith(MODELS)}
    deployed: dict[str, Any] = {"id": None, "deployedProcessDefinitions": {}}
    if not dry_run:
        deployed = on_engine(root, lambda engine: engine.deploy(contents, name or files[0].stem, tenant_id=tenant))
    new = {each["key"]: each["version"] for each in (deployed["deployedProcessDefinitions"] or {}).values()}
    found: list[dict[str, Any]] = [
        {"key": key, "file": file, "version": new.get(key), "topics": _queues(root, model)}
        for file, model in models.items()
        for key in model.processes
    ]
    if json:
        output.emit("camunda_deploy", {"deployment_id": deployed["id"], "processes": found, "dry_run": dry_run})
        return
    rows = [
        [each["key"], each["version"], each["file"], ", ".join(f"{name} → {to}" for name, to in each["topics"].items())]
        for each in found
    ]
    output.table(["Process", "Version", "File", "Topics and their queues"], rows, empty="The files hold no process.")
    if dry_run:
        output.talk(f"Would be deployed: {', '.join(contents)}.")
    else:
        output.talk(f"Deployed as {deployed['id']}." if new else "Nothing new: the engine has these processes already.")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None


def _model(name: str, content: bytes) -> Model:
    from carex.camunda.models import Model

    try:
        return Model(content.decode())
    except ValueError as error:
        raise UsageError(f"{name} is no BPMN model: {error}.") from None


def _queues(root: Root, model: Model) -> dict[str, str]:
    """A model's topics, each with the queue that its tasks go to."""
    from carex.camunda.routes import route_of

    settings = root.settings.rabbitmq
    return {topic: route_of(topic, model.properties(id), settings).queue for id, topic in model.tasks.items()}
