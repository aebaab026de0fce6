"""Finding plugins: what is wrong with one is named, and costs nobody else anything."""

from __future__ import annotations

from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

import pytest

from carex import Context, Plugin
from carex.errors import ConfigError
from carex.plugin import API
from carex.registry import Registry, load


class Package(Distribution):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def metadata(self) -> Any:
        return {"Name": self._name, "Version": "1.0"}

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: Any) -> Path:
        return Path(path)


class Point(EntryPoint):
    """An entry point of a package, that gives a plugin made here."""

    def load(self) -> Any:
        return self.value if isinstance(self.value, Plugin) else super().load()


def plugin(name: str, *types: str) -> Plugin:
    found = Plugin(name)
    for type in types:

        @found.handler(type)
        async def handle(payload: dict[str, Any], ctx: Context) -> None: ...

    return found


def point(package: str, found: Plugin, name: str = "") -> EntryPoint:
    made = Point(name or found.name, found, "carex.handlers")  # type: ignore[arg-type]
    vars(made).update(dist=Package(package))
    return made


def names(registry: Registry) -> list[str]:
    return [each.plugin.name for each in registry.loaded]


def test_of_two_plugins_with_one_type_the_second_is_left_out_and_both_are_named() -> None:
    registry = load([point("acme", plugin("zebra", "feed")), point("zoo", plugin("ant", "feed"))])
    assert names(registry) == ["ant"]
    assert registry.broken[0].name == "zebra"
    where = f"plugin.<locals>.handle ({__file__}:43)"
    assert registry.broken[0].error == f"ValueError: 'feed' of {where} belongs to plugin 'ant' (zoo 1.0), {where}"


def test_of_two_plugins_with_one_name_both_places_are_named() -> None:
    registry = load([point("acme", plugin("ant")), point("zoo", plugin("ant"))])
    assert registry.broken[0].error.count(f"{__file__}:40") == 2


@pytest.mark.parametrize(
    "source",
    [
        f"from carex import Plugin\n\nplugin = Plugin('new', api={API + 1})",
        "from carex import Plugin\n\nplugin = Plugin('new', settings=3)",
        "from carex import Plugin\nplugin = Plugin('new')\nplugin.strategy('no name')(3)",
    ],
)
def test_a_mistake_that_carex_finds_is_placed_in_the_plugins_file(
    source: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    module = f"carex_mistaken_{abs(hash(request.node.name))}"
    (tmp_path / f"{module}.py").write_text(source)
    registry = load([], handlers=[f"{module}:plugin"], home=tmp_path)
    assert f"({tmp_path}/{module}.py:3)" in registry.broken[0].error


def test_who_needs_a_newer_carex_is_told_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "carex_newer.py").write_text(f"from carex import Plugin\nplugin = Plugin('new', api={API + 1})")
    registry = load([], handlers=["carex_newer:plugin"], home=tmp_path)
    assert registry.broken[0].fix == "install a newer Carex, or uninstall it"


def test_what_carex_brings_nobody_takes_away() -> None:
    registry = load([point("acme", plugin("a", "bitrix_assign")), point("carex", plugin("bitrix24", "bitrix_assign"))])
    assert names(registry) == ["bitrix24"]
    assert registry.broken[0].package == "acme 1.0"


def test_a_plugin_that_is_installed_and_named_in_the_settings_is_one(tmp_path: Path) -> None:
    (tmp_path / "carex_twice.py").write_text("from carex import Plugin\nplugin = Plugin('twice')\n")
    registry = load([], handlers=["carex_twice:plugin", "carex_twice:plugin"], home=tmp_path)
    assert (names(registry), registry.broken) == (["twice"], [])


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("raise SystemExit('enough')", "SystemExit: enough"),
        ("plugin = 7", "not a carex.Plugin"),
        ("other = 7", "has no attribute 'plugin'"),
        (f"from carex import Plugin\nplugin = Plugin('new', api={API + 1})", "Install a newer Carex"),
        ("def f(:", "SyntaxError"),
    ],
    ids=["import", "exit", "no plugin", "no name", "newer API", "syntax"],
)
def test_a_plugin_that_cannot_be_loaded_is_named_and_the_others_are_there(
    source: str, error: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    module = f"carex_broken_{abs(hash(request.node.name))}"
    (tmp_path / f"{module}.py").write_text(source)
    registry = load([point("zoo", plugin("ant", "feed"))], handlers=[f"{module}:plugin"], home=tmp_path)
    assert names(registry) == ["ant"]
    assert error in registry.broken[0].error
    assert registry.broken[0].package == "the setting handlers"


def test_a_mistake_is_placed_in_the_plugins_file(tmp_path: Path) -> None:
    (tmp_path / "carex_misplaced.py").write_text("x = 1\ny = x.z\n")
    registry = load([], handlers=["carex_misplaced:plugin"], home=tmp_path)
    assert registry.broken[0].error.endswith(f"({tmp_path}/carex_misplaced.py:2)")


def test_a_plugin_that_is_not_there_has_no_place(tmp_path: Path) -> None:
    registry = load([], handlers=["carex_absent:plugin"], home=tmp_path)
    assert registry.broken[0].error == "ModuleNotFoundError: No module named 'carex_absent'"


def test_a_file_of_the_home_hides_nothing_of_pythons(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("plugin = 7\n")
    registry = load([], handlers=["colorsys:plugin"], home=tmp_path)
    assert "module 'colorsys' has no attribute 'plugin'" in registry.broken[0].error


def test_a_check_takes_the_client() -> None:
    with pytest.raises(ConfigError, match="an `async def` that takes the client"):
        plugin("ant").check(lambda client: [])
