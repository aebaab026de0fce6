"""`carex users sync`: take over from the portal who works there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from carex.cli import Root, output
from carex.errors import NotFound, UsageError

if TYPE_CHECKING:
    from carex.plugin import Employee, Plugin


def sync(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Option("--from", metavar="PLUGIN", help="Which plugin knows them, if several do.")
    ] = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Add and rename employees as the portal says; take over who is active, departments and time zones.

    Exclusions and what else was set here stay as they are. Nobody is removed: who is unknown there is named.
    """
    import asyncio

    from carex.people import Directory

    root: Root = ctx.obj
    found = asyncio.run(_ask(root, _plugin(root, source)))
    ids = {each.id for each in found}
    directory = Directory(root.people_file)
    try:
        strangers = [user for user in directory.list() if user.active and user.id not in ids]
        changes = directory.sync(found, dry_run=dry_run)
    finally:
        directory.close()
    if json:
        told = [change._asdict() for change in changes]
        output.emit(
            "users-sync",
            {"employees": len(found), "changes": told, "unknown": [user.id for user in strangers], "dry_run": dry_run},
        )
        return
    output.table(
        ["ID", "What", "Detail"],
        [(change.user_id, change.what, change.detail) for change in changes],
        empty="Everything is as the portal says already.",
    )
    for user in strangers:
        output.talk(
            output.visible(f"{user.id} {user.name} is not among them, but is here: carex users remove {user.id}")
        )
    output.talk(f"{len(found)} employees, {len(changes)} changes{', none of them made' if dry_run else ''}.")


async def _ask(root: Root, plugin: Plugin) -> Sequence[Employee]:
    from carex.cli.clients import client_of

    if plugin.employees is None:
        raise NotFound(f"Plugin {plugin.name} does not know who works where.")
    async with client_of(root, plugin) as client:
        return await plugin.employees(client)


def _plugin(root: Root, name: str | None) -> Plugin:
    known = {each.plugin.name: each.plugin for each in root.registry.loaded if each.plugin.employees is not None}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None and known:
        raise UsageError(f"Several plugins know employees: {', '.join(known)}.", "Choose one with --from.")
    if name not in known:
        there = f"There are: {', '.join(known)}." if known else "`carex handlers list` shows the plugins."
        raise NotFound("No such plugin knows employees.", there)
    return known[name]
