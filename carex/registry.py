"""Which handlers there are: found through the entry points `carex.handlers`, Carex's own and everybody else's alike."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from carex.choice import Choice, Situation
from carex.errors import NotFound
from carex.masking import mask
from carex.plugin import Handler, Plugin, Webhook

GROUP = "carex.handlers"
SETTING = "the setting handlers"
"""Instead of a package, for plugins that are named there."""


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be loaded, and why. Its tasks wait; everybody else's run."""

    name: str
    package: str
    error: str
    trace: str = ""


@dataclass(frozen=True)
class Loaded:
    """A plugin, and the distribution it came from."""

    plugin: Plugin
    package: str


@dataclass
class Registry:
    """The plugins of this process."""

    loaded: list[Loaded] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    @cached_property
    def handlers(self) -> Mapping[str, Handler]:
        return {name: handler for each in self.loaded for name, handler in each.plugin.handlers.items()}

    @cached_property
    def webhooks(self) -> Mapping[str, Webhook]:
        return {path: webhook for each in self.loaded for path, webhook in each.plugin.webhooks.items()}

    @cached_property
    def strategies(self) -> Mapping[str, Callable[[Situation], Choice | int | None]]:
        return {name: strategy for each in self.loaded for name, strategy in each.plugin.strategies.items()}

    @cached_property
    def presences(self) -> Mapping[str, Callable[..., Awaitable[Mapping[int, str | int]]]]:
        return {name: source for each in self.loaded for name, source in each.plugin.presences.items()}

    def handler(self, type: str) -> Handler:
        try:
            return self.handlers[type]
        except KeyError:
            raise NotFound(f"No handler for task type {type!r}.", _nearest(type, self)) from None


def load(
    points: Iterable[EntryPoint] | None = None, *, handlers: Sequence[str] = (), home: Path | None = None
) -> Registry:
    """Load every plugin. One that fails to import, or claims what another has, is reported, never fatal.

    `handlers` are those of the setting, as MODULE:NAME; their modules may be files in `home`. They come last: what is
    installed keeps what is its.
    """
    registry = Registry()
    taken: dict[str, str] = {}
    if handlers and home is not None and str(home) not in sys.path:
        sys.path.append(str(home))
    installed = sorted(points if points is not None else entry_points(group=GROUP), key=_carex_first)
    own = [EntryPoint(place.partition(":")[0], place, GROUP) for place in handlers]
    for point in [*installed, *own]:
        package = f"{point.dist.name} {point.dist.version}" if point.dist else SETTING
        try:
            plugin = point.load()
            if any(each.plugin is plugin for each in registry.loaded):
                continue  # installed, and named in the settings
            if not isinstance(plugin, Plugin):
                raise TypeError(f"{point.value} is a {type(plugin).__name__}, not a carex.Plugin")
            claims = [f"the name {plugin.name}", *plugin.handlers, *plugin.webhooks]
            claims += [f"the strategy {name}" for name in plugin.strategies]
            claims += [f"the source {name}" for name in plugin.presences]
            clashes = [f"{claim!r} belongs to plugin {taken[claim]}" for claim in claims if claim in taken]
            if clashes:
                raise ValueError("; ".join(clashes))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's module raises
            registry.broken.append(Broken(point.name, package, _blame(error), traceback.format_exc()))
        else:
            taken.update(dict.fromkeys(claims, f"{plugin.name!r} ({package})"))
            registry.loaded.append(Loaded(plugin, package))
    return registry


def _carex_first(point: EntryPoint) -> tuple[bool, str]:
    """Nothing that is installed beside Carex can take away what Carex itself brings."""
    return point.dist is None or point.dist.name != "carex", point.name


def _blame(error: BaseException) -> str:
    """The error with the place in the plugin where it happened: the last frame that is not Python's own."""
    frames = [each for each in traceback.extract_tb(error.__traceback__)[1:] if "importlib" not in each.filename]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return mask(f"{type(error).__name__}: {error}{place}")


def _nearest(type: str, registry: Registry) -> str:
    from difflib import get_close_matches

    near = get_close_matches(type, registry.handlers, 1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"`carex handlers list` shows what there is{' and which plugins are broken' if registry.broken else ''}."
