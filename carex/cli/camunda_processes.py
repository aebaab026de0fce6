"""`carex camunda start` and `processes`: what is deployed, and the instances that run of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carex.cli import output
from carex.cli.camunda_engine import on_engine, when
from carex.cli.send import pair
from carex.errors import NotFound, UsageError

if TYPE_CHECKING:
    from carex.camunda.engine import Engine

Tenant = Annotated[str | None, typer.Option(help="For an engine with tenants: whose process.")]
Found = dict[str, Any]
LISTED = "`carex camunda processes` lists them."


def start(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The id of the process in its model.")],
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable; values are JSON, or else text.")
    ] = None,
    business_key: Annotated[
        str | None, typer.Option(help="What people know this instance by, as an order's number.")
    ] = None,
    tenant: Tenant = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Start an instance of the newest version of a process. Its id goes to stdout."""
    values = dict(pair(each, "carex camunda start KEY --var amount=5") for each in var or [])
    try:
        started = on_engine(ctx.obj, lambda engine: _start(engine, key, values, business_key, tenant, dry_run))
    except ValueError as error:
        raise UsageError(f"--var: {error}") from None
    if json:
        output.emit("camunda_start", {**started, "dry_run": dry_run})
    elif dry_run:
        output.talk(output.visible(f"{started['definition_id']} would be started with {values or 'no variables'}."))
    else:
        typer.echo(started["id"])
        output.talk(f"Started. Watch it: carex camunda processes {key} --instances")


async def _start(
    engine: Engine, key: str, values: dict[str, Any], business_key: str | None, tenant: str | None, dry_run: bool
) -> Found:
    from carex.camunda.answers import EngineError, Verdict
    from carex.camunda.variables import typed_all, without_json

    variables = typed_all(values)
    whose = {"tenantIdIn": tenant} if tenant is not None else {"withoutTenantId": True}
    definitions = await engine.process_definitions(key=key, latestVersion=True, **whose)
    if not definitions:
        others = {each["tenantId"] for each in await engine.process_definitions(key=key, latestVersion=True)}
        hint = f"There is one of {', '.join(map(str, others))}: say --tenant." if others else LISTED
        raise NotFound(f"No process {key!r} is deployed{f' for {tenant}' if tenant else ''}.", hint)
    found = {"definition_id": definitions[0]["id"], "key": key, "business_key": business_key, "tenant_id": tenant}
    if dry_run:
        return {"id": None, **found, "ended": False}
    try:
        started = await engine.start(key, variables, business_key, tenant)
    except EngineError as error:
        if error.answer.verdict is not Verdict.BAD_INPUT or not error.answer.refuses_json:
            raise
        started = await engine.start(key, without_json(variables), business_key, tenant)
    return {"id": started["id"], **found, "definition_id": started["definitionId"], "ended": started["ended"]}


def processes(
    ctx: typer.Context,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Only this process.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Count what each has done and what waits in it.")] = False,
    instances: Annotated[bool, typer.Option("--instances", help="List the running instances, newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many instances.")] = 50,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """List the deployed processes."""

    async def look(engine: Engine) -> tuple[list[Found], list[Found], int]:
        found = await _processes(engine, key)
        if key is not None and not found:
            raise NotFound(f"No process {key!r} is deployed.", LISTED)
        if stats:
            await asyncio.gather(*(_count(engine, each) for each in found))
        running = sum(each["running"] for each in found)
        return found, await _instances(engine, key, limit) if instances else [], running

    found, open, running = on_engine(ctx.obj, look)
    if json:
        output.emit("camunda_processes", {"processes": found, **({"instances": open} if instances else {})})
        return
    if stats or not instances:
        columns = ["key", "name", "version", "tenant", "running", "incidents"]
        columns += ["completed", "tasks", "locked", "failed"] if stats else []
        rows = [[each[column] for column in columns] for each in found]
        output.table([column.capitalize() for column in columns], rows, empty="No process is deployed.")
    if instances:
        columns = ["id", "process", "version", "business_key", "started", "state"]
        rows = [[when(each[name]) if name == "started" else each[name] for name in columns] for each in open]
        heads = ["Instance", "Process", "Version", "Business key", "Started", "State"]
        output.table(heads, rows, empty="No instance is running.")
        if running > len(open):
            output.talk(f"{len(open)} of {running}. More: --limit {running}")


async def _processes(engine: Engine, key: str | None) -> list[Found]:
    """The deployed processes, each with the instances of all its versions."""
    found: dict[tuple[str, str | None], Found] = {}
    for each in sorted(await engine.statistics(), key=lambda each: int(each["definition"]["version"])):
        definition = each["definition"]
        if key not in (None, definition["key"]):
            continue
        name = (definition["key"], definition["tenantId"])
        process = found.setdefault(
            name, {"key": name[0], "tenant": name[1], "running": 0, "incidents": 0, "definitions": []}
        )
        process |= {"name": definition["name"], "version": definition["version"], "suspended": definition["suspended"]}
        process["definitions"].append(definition["id"])
        process["running"] += each["instances"]
        process["incidents"] += sum(kind["incidentCount"] for kind in each["incidents"])
    return [found[name] for name in sorted(found, key=str)]


async def _count(engine: Engine, process: Found) -> None:
    """Add what a process has done, as far back as the engine's history goes, and the external tasks open in it."""
    process |= {"completed": 0, "tasks": 0, "locked": 0, "failed": 0}
    for id in process["definitions"]:
        process["completed"] += await engine.history_count(processDefinitionId=id, completed=True)
        process["tasks"] += await engine.count_external_tasks(processDefinitionId=id)
        process["locked"] += await engine.count_external_tasks(processDefinitionId=id, locked=True)
        process["failed"] += await engine.count_external_tasks(processDefinitionId=id, noRetriesLeft=True)


async def _instances(engine: Engine, key: str | None, limit: int) -> list[Found]:
    newest = [{"sortBy": "startTime", "sortOrder": "desc"}]
    query: Found = {"processDefinitionKey": key} if key is not None else {}
    found = await engine.history_instances(max_results=limit, unfinished=True, sorting=newest, **query)
    ids = [each["id"] for each in found]
    stuck = await engine.process_instances(processInstanceIds=ids, withIncident=True) if ids else []
    incidents = {each["id"] for each in stuck}
    return [
        {
            "id": each["id"],
            "process": each["processDefinitionKey"],
            "version": each["processDefinitionVersion"],
            "business_key": each["businessKey"],
            "tenant": each["tenantId"],
            "started": each["startTime"],
            "state": "incident" if each["id"] in incidents else each["state"].lower(),
        }
        for each in found
    ]
