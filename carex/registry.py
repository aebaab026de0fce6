"""Which handlers there are: found through the entry points `carex.handlers`, Carex's own and everybody else's alike."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path

from carex.choice import Choice, Situation
from carex.declared import place
from carex.errors import CarexError, NotFound
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
    fix: str = "mend it, or uninstall it"


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
    installed = _installed() if points is None else _with_packages(points)
    own = [(SETTING, EntryPoint(each.partition(":")[0], each, GROUP)) for each in handlers]
    for package, point in [*installed, *own]:
        try:
            plugin = point.load()
            if any(each.plugin is plugin for each in registry.loaded):
                continue  # installed, and named in the settings
            if not isinstance(plugin, Plugin):
                raise TypeError(f"{point.value} is a {type(plugin).__name__}, not a carex.Plugin")
            claims = _claims(plugin)
            clashes = [f"{claim!r} of {claims[claim]} belongs to {taken[claim]}" for claim in claims if claim in taken]
            if clashes:
                raise ValueError("; ".join(clashes))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's module raises
            fix = (isinstance(error, CarexError) and error.hint) or Broken.fix
            registry.broken.append(Broken(point.name, package, _blame(error), traceback.format_exc(), fix))
        else:
            taken.update({claim: f"plugin {plugin.name!r} ({package}), {at}" for claim, at in claims.items()})
            registry.loaded.append(Loaded(plugin, package))
    return registry


@cache  # as are the modules: for this process, and for those that are forked from it
def _installed() -> list[tuple[str, EntryPoint]]:
    return _with_packages(entry_points(group=GROUP))


def _with_packages(points: Iterable[EntryPoint]) -> list[tuple[str, EntryPoint]]:
    """Each with its package, name and version; Carex's own first: nobody can take away what Carex itself brings."""
    named = [(_name_and_version(point.dist), point) for point in points]
    return sorted(named, key=lambda each: (not each[0].startswith("carex "), each[1].name))


@cache  # every look reads all that the package says about itself
def _name_and_version(package: Distribution | None) -> str:
    if package is None:
        return SETTING
    about = package.metadata
    return f"{about['Name']} {about['Version']}"


def _claims(plugin: Plugin) -> dict[str, str]:
    """What nobody else may have, each with its place in the plugin."""
    claims = {f"the name {plugin.name}": plugin.place}
    claims |= {type: place(each.function) for type, each in plugin.handlers.items()}
    claims |= {path: place(each.function) for path, each in plugin.webhooks.items()}
    claims |= {f"the strategy {name}": place(each) for name, each in plugin.strategies.items()}
    return claims | {f"the source {name}": place(each) for name, each in plugin.presences.items()}


def _blame(error: BaseException) -> str:
    """The error with the place in the plugin where it happened: the last frame that is neither Python's nor ours."""
    said = error.message if isinstance(error, CarexError) else str(error)
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)[1:]
        if "importlib" not in each.filename and Path(each.filename).parent != Path(__file__).parent
    ]
    known = not frames or frames[-1].filename in said
    return mask(f"{type(error).__name__}: {said}" + ("" if known else f" ({frames[-1].filename}:{frames[-1].lineno})"))


def _nearest(type: str, registry: Registry) -> str:
    from difflib import get_close_matches

    near = get_close_matches(type, registry.handlers, 1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"`carex handlers list` shows what there is{' and which plugins are broken' if registry.broken else ''}."
