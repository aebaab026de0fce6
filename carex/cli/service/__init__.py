"""`carex service`: keep Carex running with systemd or supervisor, and its logs short with logrotate."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from carex.cli import Root, output
from carex.cli.service.plan import PARTS
from carex.errors import ConfigError, NotFound, PartlyFailed, UsageError

if TYPE_CHECKING:
    from carex.cli.service.files import File, Kind
    from carex.cli.service.plan import Plan

command = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Parts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[serve] [worker] [bridge]",
        help="serve and worker by default, and the bridge if an engine is set.",
        show_default=False,
    ),
]
KindName = Annotated[Literal["systemd", "supervisor"], typer.Option("--kind", help="Who keeps it running.")]
OfUser = Annotated[bool, typer.Option("--user", help="With your own systemd instead of the system's; needs no root.")]
UserName = Annotated[
    str | None, typer.Option("--user-name", help="Who runs it.", show_default="the home folder's owner")
]
Name = Annotated[str, typer.Option("--name", help="What its parts are called: NAME-worker. For a second home.")]
Directory = Annotated[
    Path | None, typer.Option("--directory", help="Where the files go.", show_default="the system's folders")
]


@command.callback()
def service() -> None:
    """Keep Carex running with systemd or supervisor, and its logs short with logrotate.

    Ports, processes, queues and all else come from carex.toml and .env; the files of a service only start Carex.
    """


@command.command()
def render(
    ctx: typer.Context,
    parts: Parts = None,
    kind: KindName = "systemd",
    user: OfUser = False,
    user_name: UserName = None,
    name: Name = "carex",
    directory: Directory = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Print the files, and change nothing."""
    _, _, files = _made(ctx.obj, kind, user, user_name, name, directory, parts)
    if json:
        output.emit("service", {"files": [{"path": str(each.path), "content": each.content} for each in files]})
        return
    for file in files:
        typer.echo(f"# {file.path}\n{file.content}")


@command.command()
def install(
    ctx: typer.Context,
    parts: Parts = None,
    kind: KindName = "systemd",
    user: OfUser = False,
    user_name: UserName = None,
    name: Name = "carex",
    directory: Directory = None,
    dry_run: Annotated[bool, output.DryRun] = False,
) -> None:
    """Write the files and start the parts, now and whenever the machine starts. A second time, only what changed."""
    from carex.cli.service.files import check, check_rights, prepare, write

    root: Root = ctx.obj
    chosen, plan, files = _made(root, kind, user, user_name, name, directory, parts)
    if not root.home.is_dir():
        raise NotFound(f"There is no home folder {root.home}.", f"carex --home {root.home} init")
    check(chosen, files, directory)
    changed = [file for file in files if not file.current]
    commands = chosen.begin([file.name for file in files if file.part], [file.name for file in changed if file.part])
    _warn(root, plan)
    if dry_run:
        for file in files:
            output.talk(f"{'would write' if file in changed else 'unchanged'}  {file.path}")
        _print_commands("would run", commands)
        return
    check_rights(changed)
    if foreign := prepare(plan):
        output.talk(f"! {plan.user}, who runs it, may not use all of this home: chown -R {plan.user}: {_line(foreign)}")
    for file in files:
        if file in changed:
            write(file)
        output.talk(f"{'wrote' if file in changed else 'unchanged'}  {file.path}")
    _say_rotation(files[-1])
    _run(chosen, commands)
    if user:
        output.talk("! It ends when you log out, unless root, or you, say: loginctl enable-linger")


@command.command()
def status(
    ctx: typer.Context,
    parts: Parts = None,
    kind: KindName = "systemd",
    user: OfUser = False,
    user_name: UserName = None,
    name: Name = "carex",
    directory: Directory = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Say of each part whether its file is there and up to date, and whether it runs."""
    chosen, _, files = _made(ctx.obj, kind, user, user_name, name, directory, parts or list(PARTS))
    runs = _works(chosen.probe)
    rows = [
        {
            "part": file.part or "logrotate",
            "path": str(file.path),
            "file": file.state,
            "current": file.current,
            "active": _ask(chosen, file.name) if runs and file.part and file.state == "ours" else None,
        }
        for file in files
    ]
    if json:
        output.emit("service", {"kind": kind, "answers": runs, "parts": rows})
        return
    if not runs:
        output.talk(f"{kind} does not answer here: whether the parts run is not known.")
    content = ["up to date" if file.current else "out of date" if file.state == "ours" else None for file in files]
    shown = [[row[key] for key in ("part", "path", "file", "active")] for row in rows]
    cells = [[*row[:3], each, row[3]] for row, each in zip(shown, content, strict=True)]
    output.table(["Part", "Path", "File", "Content", "Runs"], cells, empty="")
    if "out of date" in content:
        output.talk("`carex service install` brings them up to date.")


@command.command()
def uninstall(
    ctx: typer.Context,
    parts: Parts = None,
    kind: KindName = "systemd",
    user: OfUser = False,
    name: Name = "carex",
    directory: Directory = None,
    dry_run: Annotated[bool, output.DryRun] = False,
    yes: Annotated[bool, output.Yes] = False,
) -> None:
    """Stop the parts and remove their files: those that Carex wrote for this home. Tasks and logs stay."""
    from carex.cli.service.files import check_rights

    chosen, _, files = _made(ctx.obj, kind, user, None, name, directory, list(PARTS))
    ours = [file for file in files if file.state == "ours"]
    gone = [file for file in ours if file.part and file.part in (parts or PARTS)]
    if gone == [file for file in ours if file.part]:
        gone = ours  # the last part takes logrotate's file along
    if not gone:
        raise NotFound(f"{kind} has no such part of this home.", "carex service status")
    names = [file.name for file in gone if file.part]
    before, after = (chosen.before_removal(names), chosen.after_removal(names)) if names else ([], [])
    if dry_run:
        _print_commands("would run", before)
        for file in gone:
            output.talk(f"would remove  {file.path}")
        _print_commands("would run", after)
        return
    check_rights(gone)
    output.confirm(f"Stop and remove {', '.join(names) or 'the file of logrotate'}?", yes)
    _run(chosen, before)
    for file in gone:
        file.path.unlink()
        output.talk(f"removed  {file.path}")
    _run(chosen, after)


def _made(
    root: Root,
    kind: str,
    user: bool,
    user_name: str | None,
    name: str,
    directory: Path | None,
    parts: Sequence[str] | None,
) -> tuple[Kind, Plan, list[File]]:
    import re

    from carex.cli.service.files import files_of
    from carex.cli.service.plan import configured, plan_of
    from carex.cli.service.supervisor import Supervisor
    from carex.cli.service.systemd import Systemd

    if user and kind == "supervisor":
        raise UsageError("--user is for systemd.", "For a supervisord of your own, name its folder with --directory.")
    if user and user_name is not None:
        raise UsageError("With --user it runs as you.", "Leave out --user-name, or --user.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UsageError(f"--name {name}: letters, digits, - and _ only.")
    plan = plan_of(root, name, user_name)
    chosen: Kind = Supervisor() if kind == "supervisor" else Systemd(user)
    if unknown := [each for each in parts or () if each not in PARTS]:
        raise UsageError(f"There is no part {unknown[0]}.", f"The parts are {', '.join(PARTS)}.")
    wanted = [part for part in PARTS if part in (parts or configured(root.settings))]
    return chosen, plan, files_of(chosen, plan, wanted, directory.absolute() if directory else None)


def _warn(root: Root, plan: Plan) -> None:
    """Of what works in this shell and would not in the service."""
    for each in root.registry.loaded:
        if each.plugin.settings:
            with suppress(ConfigError):  # doctor's matter
                root.settings.plugin(each.plugin.name, each.plugin.settings)
    here = sorted({row.origin.removeprefix("env ") for row in root.settings.rows() if row.origin.startswith("env ")})
    if here:
        output.talk(f"! Only set in this shell: {', '.join(here)}. The service reads {root.home / '.env'} instead.")
    if plan.user == "root":
        output.talk("! It will run as root. Better: a user of its own, who owns the home folder, or --user-name NAME.")


def _say_rotation(file: File) -> None:
    if not shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        output.talk("! logrotate is not installed, and the logs will grow: apt-get install logrotate")
    elif file.path.suffix == ".logrotate":
        place = f"/etc/logrotate.d/{file.path.stem}"
        output.talk(f"! For the logs to be kept short, as root: cp {_line([str(file.path)])} {place}")


def _run(kind: Kind, commands: list[list[str]]) -> None:
    """Run them if there is somebody to take them; otherwise say them."""
    if not _works(kind.probe):
        _print_commands(f"{kind.title} does not answer here; when it does", commands)
        return
    for number, words in enumerate(commands):
        ended = subprocess.run(words, capture_output=True, text=True)  # noqa: S603 - our own words
        if ended.returncode:
            left = "; ".join(map(_line, commands[number:]))
            raise PartlyFailed(f"{_line(words)}: {(ended.stderr or ended.stdout).strip()}", f"Then: {left}")
        output.talk(f"ran  {_line(words)}")


def _print_commands(when: str, commands: list[list[str]]) -> None:
    if commands:
        output.talk("\n".join([f"{when}:", *(f"  {_line(words)}" for words in commands)]))


def _works(words: list[str]) -> bool:
    if shutil.which(words[0]) is None:
        return False
    return subprocess.run(words, capture_output=True).returncode == 0  # noqa: S603 - our own words


def _ask(kind: Kind, name: str) -> str:
    answer = subprocess.run(kind.ask(name), capture_output=True, text=True)  # noqa: S603 - our own words
    return kind.understand(answer.stdout)


def _line(words: list[str]) -> str:
    return " ".join(map(shlex.quote, words))
