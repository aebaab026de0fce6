"""The rules of the house: who may import whom, how long a file may be, and what the linters say."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = [*ROOT.glob("carex/**/*.py"), *ROOT.glob("handlers/*/carex_*/**/*.py"), *ROOT.glob("tools/**/*.py")]

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "task": {"errors"},
    "choice": set(),
    "masking": set(),
    "database": {"errors"},
    "limiter": set(),
    "limiter_stores": {"limiter", "database", "queue", "errors"},
    "declared": {"context", "errors"},
    "plugin": {"declared", "task", "limiter", "choice", "errors"},
    "settings": {"errors", "masking"},
    "context": {"task", "people"},
    "log": {"errors", "masking"},
    "metrics": {"queue", "limiter"},
    "alerts": set(),
    "patience": {"queue", "errors"},
    "queue": {"task", "errors", "database"},
    "people": {"task", "choice", "errors", "database"},
    "registry": {"plugin", "declared", "choice", "errors", "masking"},
    "run": {"context", "plugin", "task", "errors"},
    "executor": {
        "run",
        "registry",
        "queue",
        "people",
        "context",
        "plugin",
        "settings",
        "masking",
        "task",
        "limiter_stores",
        "once",
    },
    "loops": {"executor", "queue", "task"},
    "nursery": set(),
    "nurse": {"nursery"},
    "talk": {"nursery"},
    "last_words": set(),
    "isolation": {"executor", "last_words", "notify", "registry", "queue", "talk", "task", "errors"},
    "suspects": {"isolation", "account", "last_words", "queue", "talk", "task", "errors"},
    "waits": set(),
    "account": {"executor", "queue", "metrics", "log", "task", "waits"},
    "worker": {
        "account",
        "executor",
        "isolation",
        "loops",
        "patience",
        "registry",
        "queue",
        "people",
        "settings",
        "talk",
        "log",
        "task",
        "errors",
    },
    "camunda": {"rabbitmq", "task", "settings", "log", "metrics", "masking", "errors"},
    "rabbitmq": {"queue", "task", "settings", "errors"},
    "migration": {
        "camunda",
        "registry",
        "plugin",
        "queue",
        "people",
        "database",
        "settings",
        "task",
        "masking",
        "errors",
    },
    "supervisor": {"notify", "nursery"},
    "once": set(),
    "notify": set(),
    "testing": {"context", "limiter", "people", "plugin", "run", "task"},
    "server": {"registry", "queue", "limiter_stores", "plugin", "settings", "metrics", "log", "task", "errors"},
}
"""Each part of the toolkit with those it may import; the command line may import all of them."""


def part_of(module: str) -> str:
    name = module.removeprefix("carex.").partition(".")[0]
    return "settings" if name == "settings_sources" else name


def imports(path: Path) -> Iterator[str]:
    """The modules of Carex that a file imports, except for type checking only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "carex":
            if node.module == "carex":
                yield from (f"carex.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("carex"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("carex/**/*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    part = part_of(module)
    if part in ("carex", "cli", "__main__"):
        return
    allowed = MAY_IMPORT[part] | {part, "__version__"}
    assert {part_of(name) for name in imports(path)} <= allowed


@pytest.mark.parametrize(
    "path",
    sorted(path for path in ROOT.glob("handlers/*/carex_*/**/*.py") if not path.name.startswith(("demo", "deals"))),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_plugins_use_the_public_names_only(path: Path) -> None:
    import carex

    public = {f"carex.{name}" for name in carex.__all__} | {"carex.testing"}
    found = {name for name in imports(path) if name.partition(".")[0] == "carex"}
    assert found <= public | {"carex"}


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.glob("carex/**/*.py")
        if "cli" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_only_settings_and_the_command_line_read_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).parts[1]
        for path in ROOT.glob("carex/**/*.py")
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    }
    assert readers <= {"settings.py", "settings_sources.py", "cli"}


# Not pydantic: Typer imports it for itself where it is installed.
HEAVY = ("pika", "fastapi", "httpx", "aiohttp", "loguru", "prometheus_client", "sqlite_utils", "uvicorn")


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (["--help"], ()),
        (["version"], ()),
        (["users", "--help"], ()),
        (["camunda", "--help"], ()),
        (["users", "list"], ("sqlite_utils",)),
    ],
)
def test_commands_import_only_what_they_need(command: list[str], allowed: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys, atexit; from carex.cli import main\n"
        f"atexit.register(lambda: print('IMPORTED', [m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr))\n"
        f"sys.argv = ['carex', '--home', {str(tmp_path)!r}, *{command!r}]; main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    imported = ast.literal_eval(ended.stderr.partition("IMPORTED ")[2])
    assert set(imported) <= set(allowed), ended.stderr


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy"])
def test_the_linters_are_quiet(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command.split(), *([] if command == "mypy" else ["."])],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
