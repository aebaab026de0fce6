"""Every plugin, as an area of its own: whether it loads, whether its settings fit, and what it says itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from carex.cli import Root
from carex.cli.doctor.line import Check, Line, note, ok, wrong

if TYPE_CHECKING:
    from carex.registry import Broken, Loaded


def checks(root: Root) -> dict[str, Check]:
    found: dict[str, Check] = {each.name: partial(_broken, each) for each in root.registry.broken}
    return found | {each.plugin.name: partial(_look, each) for each in root.registry.loaded}


def _broken(each: Broken, root: Root) -> Iterator[Line]:
    fix = f"{each.fix[:1].upper()}{each.fix[1:]}; carex handlers check {each.name} says more."
    yield wrong(f"cannot be loaded ({each.package}): {each.error}", fix)


def _look(each: Loaded, root: Root) -> Iterator[Line]:
    from carex.cli.handlers_check import lines_of

    number = 0
    for number, line in enumerate(lines_of(root, each.plugin, each.package), start=1):  # noqa: B007 - counts them
        yield wrong(line.text, line.fix) if line.fix else ok(line.text)
    if each.plugin.checks and number == 1:
        yield note(f"nothing is set up: see [plugins.{each.plugin.name}] in carex.toml")
