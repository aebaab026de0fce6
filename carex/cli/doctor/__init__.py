"""`carex doctor`: everything that is configured, looked at once, each line with what to do about it."""

from __future__ import annotations

import logging
import queue
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated

import typer

from carex.cli import Root, output
from carex.cli.doctor import camunda, home, people, plugins, ports, rabbitmq, settings, tasks
from carex.cli.doctor.line import Check, Level, Line, wrong
from carex.errors import CarexError, ConfigError, UsageError
from carex.masking import mask, redact

PATIENCE = 20.0
"""Seconds that all checks together may take; they run side by side."""
AREAS: dict[str, Check] = {
    "settings": settings.look,
    "home": home.look,
    "queue": tasks.look,
    "people": people.look,
    "ports": ports.look,
    "rabbitmq": rabbitmq.look,
    "camunda": camunda.look,
}
"""Beside them every plugin is an area by its own name."""
MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("-", "bright_black"),
    "warning": ("!", "yellow"),
    "wrong": ("X", "red"),
}
Found = dict[str, list[Line]]


def command(
    ctx: typer.Context,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="AREA", help=f"Only {', '.join(AREAS)}, or a plugin by its name; may be repeated."),
    ] = None,
    json: Annotated[bool, output.Json] = False,
) -> None:
    """Look at everything that is configured; name what is wrong, and what to do about it. Changes nothing.

    Exit code: 0 if all is well or there are only warnings, 3 if a setting is wrong, 1 if anything else is.
    """
    root: Root = ctx.obj
    _be_quiet()
    broken = _unreadable(root)
    checks = {"settings": settings.look} if broken else AREAS | plugins.checks(root)
    names = [name.strip() for each in only or () for name in each.split(",")]
    unknown = [name for name in names if name not in checks and not (broken and name in AREAS)]
    if unknown and not broken:
        raise UsageError(f"There is no area {unknown[0]!r}.", f"There are: {', '.join(checks)}.")
    chosen = {name: check for name, check in checks.items() if broken or not names or name in names}
    found = _hidden(_run(root, chosen))
    levels = Counter(line.level for lines in found.values() for line in lines)
    summary = _summary(levels, stopped=broken)
    if json:
        lines = [{"area": area, **asdict(line)} for area, lines in found.items() for line in lines]
        numbers = {level: levels[level] for level in MARKS}
        output.emit("doctor", {"ok": not levels["wrong"], "lines": lines, "levels": numbers, "summary": summary})
    else:
        _show(found)
        typer.secho(summary, bold=True)
    if levels["wrong"]:
        raise typer.Exit(3 if any(line.level == "wrong" for line in found.get("settings", ())) else 1)


def _unreadable(root: Root) -> bool:
    """Whether the settings cannot be read at all: then nothing else can be looked at."""
    try:
        _ = root.settings, root.registry
    except ConfigError:
        return True
    return False


def _run(root: Root, checks: Mapping[str, Check]) -> Found:
    """Each check in a thread of its own; one that does not come back in time is left behind."""
    done: queue.SimpleQueue[tuple[str, list[Line]]] = queue.SimpleQueue()

    def one(area: str, check: Check) -> None:
        lines: list[Line] = []
        try:
            for line in check(root):
                lines.append(line)
        except CarexError as error:
            lines.append(wrong(error.message, error.hint or "See `carex config show --origin`."))
        except Exception as error:  # noqa: BLE001 - a doctor must not fall over what it finds
            if root.debug:
                output.talk(traceback.format_exc())
            text = f"The check itself failed: {type(error).__name__}: {error}"
            lines.append(wrong(text, f"Report it, with what `carex --debug doctor --only {area}` says."))
        done.put((area, lines))

    for area, check in checks.items():
        threading.Thread(target=partial(one, area, check), name=f"doctor: {area}", daemon=True).start()
    found: Found = {}
    end = time.monotonic() + PATIENCE
    while len(found) < len(checks):
        try:
            area, lines = done.get(timeout=max(end - time.monotonic(), 0.0))
        except queue.Empty:
            break
        found[area] = lines
    late = [wrong(f"no answer within {PATIENCE:g} s", "See whether the system can be reached from here.")]
    return {area: found.get(area, late) for area in checks}


def _hidden(found: Found) -> Found:
    """No secret, whatever a system or a plugin says."""
    return {
        area: [replace(line, text=mask(redact(line.text)), fix=redact(line.fix)) for line in lines]
        for area, lines in found.items()
    }


def _show(found: Found) -> None:
    for area, lines in found.items():
        typer.secho(area, bold=True)
        for line in lines:
            mark, colour = MARKS[line.level]
            body = output.visible(line.text).replace("\n", "\n     ")
            typer.echo(f"  {typer.style(f'{mark:2}', fg=colour)} {body}")
            if line.fix:
                typer.secho("     → " + output.visible(line.fix).replace("\n", "\n       "), fg=colour)


def _summary(levels: Mapping[Level, int], *, stopped: bool) -> str:
    if stopped:
        return "The settings cannot be read: nothing else was looked at."
    bad, doubtful = levels["wrong"], levels["warning"]
    counted = f"{levels['ok']} ok, {doubtful} warning{'' if doubtful == 1 else 's'}, {bad} wrong"
    return f"All is well: {counted}." if not bad + doubtful else f"{'Not well' if bad else 'Well enough'}: {counted}."


def _be_quiet() -> None:
    """What is worth knowing is in the lines."""
    from loguru import logger

    logger.remove()
    logging.disable(logging.CRITICAL)
