"""`carex handlers`: the kit for authors of plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.system.conftest import Installation

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "handlers" / "example"
DESK = """
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pydantic import BaseModel
from carex import BpmnError, Context, Fail, Finding, Plugin, Retry, Wait

class Settings(BaseModel, extra="forbid"):
    rings: int = 2

@asynccontextmanager
async def connect(settings: Settings):
    yield settings.rings

plugin = Plugin("desk", settings=Settings, client=connect)
ENDS = {"retry": Retry("no"), "wait": Wait("no", 60), "fail": Fail("no"), "error": BpmnError("NO", "no")}

@dataclass
class Bell:
    end: str = ""

@plugin.handler("desk_ring")
async def ring(bell: Bell, ctx: Context) -> dict[str, int]:
    '''Ring.'''
    if bell.end in ENDS:
        raise ENDS[bell.end]
    return {"rings": ctx.client}

@plugin.check
async def rings(client: int) -> list[Finding]:
    if client == 13:
        raise RuntimeError("bad luck")
    return [Finding(f"it rings {client} times", fix="Oil it." if client < 1 else "")]
"""


@pytest.fixture
def desk(installation: Installation) -> Installation:
    """A home with a plugin in a file of its own."""
    (installation.home / "desk.py").write_text(DESK)
    (installation.home / "carex.toml").write_text('handlers = ["desk:plugin"]\n')
    return installation


def files(folder: Path) -> dict[str, str]:
    """Those that are written by hand."""
    found = (path for path in folder.rglob("*") if path.is_file() and "cache" not in str(path.relative_to(folder)))
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def test_the_example_is_what_new_writes(installation: Installation) -> None:
    ended = installation.run("handlers", "new", "example", "--into", str(installation.home))
    assert ended.stdout == f"{installation.home}/carex-example\n"
    assert files(installation.home / "carex-example") == files(EXAMPLE)


def test_a_new_plugin_has_its_name_everywhere(installation: Installation) -> None:
    installation.run("handlers", "new", "send_sms", "--into", str(installation.home))
    found = files(installation.home / "carex-send-sms")
    assert 'name = "carex-send-sms"' in found["pyproject.toml"]
    assert 'send_sms = "carex_send_sms:plugin"' in found["pyproject.toml"]
    assert "example" not in "".join([*found, *found.values()])


@pytest.mark.parametrize("program", ["pytest -q", "ruff check", "ruff format --check", "mypy"])
def test_a_new_plugin_passes_its_tests_and_the_linters_at_once(program: str, installation: Installation) -> None:
    longest = f"my_{'z' * 37}"
    folder = installation.run("handlers", "new", longest, "--into", str(installation.home)).stdout.strip()
    ended = subprocess.run([sys.executable, "-m", *program.split()], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("send-sms", 2, "carex handlers new send_sms"),
        ("СМС", 2, "cannot be a plugin's name"),
        ("class", 2, "carex handlers new my_class"),
        ("../up", 2, "carex handlers new up"),
        ("x" * 41, 2, "cannot be a plugin's name"),
        ("bitrix24", 5, "There is a plugin bitrix24 already."),
        ("there", 5, "is there already"),
    ],
)
def test_a_name_that_will_not_do_is_refused(name: str, code: int, message: str, installation: Installation) -> None:
    (installation.home / "carex-there").mkdir()
    ended = installation.run("handlers", "new", name, "--into", str(installation.home))
    assert ended.returncode == code
    assert message in ended.stderr
    assert [*(installation.home / "carex-there").iterdir()] == []


def test_a_plugin_in_a_file_is_listed_queued_and_run(desk: Installation) -> None:
    assert "desk_ring" in [each["type"] for each in desk.ask("handlers", "list")["handlers"]]
    desk.run("send", "desk_ring")
    assert desk.run("worker", "--burst", "--processes", "2").returncode == 0
    assert [entry.result for entry in desk.entries("done")] == [{"rings": 2}]


def test_a_plugin_in_a_file_has_its_table_of_settings(desk: Installation) -> None:
    (desk.home / "carex.toml").write_text('handlers = ["desk:plugin"]\n[plugins.desk]\nring = 3\n')
    ended = desk.run("config", "check")
    assert ended.returncode == 3
    assert "carex.toml:3: unknown setting plugins.desk.ring. Did you mean plugins.desk.rings?" in ended.stderr


@pytest.mark.parametrize("place", ["desk", "desk:", "de-sk:plugin", ":plugin"])
def test_a_place_that_is_none_is_a_configuration_error(place: str, desk: Installation) -> None:
    desk.env["CAREX_HANDLERS"] = place
    ended = desk.run("handlers", "list")
    assert ended.returncode == 3
    assert "env CAREX_HANDLERS: handlers.0: name each plugin as MODULE:NAME" in ended.stderr


def test_the_configuration_is_not_in_order_while_a_file_is_missing(desk: Installation) -> None:
    desk.env["CAREX_HANDLERS"] = "desk:plugin,nowhere:plugin"
    ended = desk.run("config", "check")
    assert ended.returncode == 3
    assert "handlers: nowhere: ModuleNotFoundError: No module named 'nowhere'" in ended.stderr


def test_one_attempt_gives_the_result(desk: Installation) -> None:
    ended = desk.run("handlers", "run", "desk_ring")
    assert (ended.returncode, ended.stdout) == (0, '{\n  "rings": 2\n}\n')
    assert desk.entries() == []


@pytest.mark.parametrize(
    ("end", "hint"),
    [
        ("retry", "try again, 8 times in all"),
        ("wait", "try again in 1 m, and count no attempt"),
        ("fail", "not try again"),
        ("error", "tell the process, if one asked: error NO"),
    ],
)
def test_an_attempt_that_does_not_succeed_says_what_a_worker_would_do(end: str, hint: str, desk: Installation) -> None:
    ended = desk.run("handlers", "run", "desk_ring", f"end={end}")
    assert ended.returncode == 1
    assert "Error: desk_ring: no\n" in ended.stderr
    assert hint in ended.stderr


def test_an_attempt_as_json(desk: Installation) -> None:
    answer = desk.ask("handlers", "run", "desk_ring")
    assert (answer["schema"], answer["outcome"], answer["result"]) == ("carex.handlers-run/1", "Done", {"rings": 2})


def test_a_dry_run_runs_nothing(desk: Installation) -> None:
    ended = desk.run("handlers", "run", "desk_ring", "end=fail", "--dry-run")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "nothing was done" in ended.stderr


@pytest.mark.parametrize(
    ("rings", "code", "found"),
    [
        ("3", 0, "it rings 3 times"),
        ("0", 1, "desk: Oil it."),
        ("13", 1, "RuntimeError: bad luck"),
        ("many", 1, "plugins.desk.rings: should be a valid integer"),
    ],
)
def test_a_check_says_what_the_plugin_found_and_its_remedy(
    rings: str, code: int, found: str, desk: Installation
) -> None:
    desk.env["CAREX_PLUGINS__DESK__RINGS"] = rings
    ended = desk.run("handlers", "check", "desk")
    assert ended.returncode == code
    assert found in ended.stdout + ended.stderr


def test_a_check_names_the_broken_and_passes_the_others(desk: Installation) -> None:
    ended = desk.run("handlers", "check")
    assert ended.returncode == 1
    assert "wreck: mend it, or uninstall it" in ended.stderr
    assert "it rings 2 times" in ended.stdout


def test_a_check_of_nobody_is_not_found(desk: Installation) -> None:
    assert desk.run("handlers", "check", "nobody").returncode == 4


CLOSED = DESK.partition("@plugin.check")[0].replace("    yield", "    raise ConnectionError('nobody is in')\n    yield")
ODD = DESK.replace("@dataclass\nclass Bell", "class Bell").replace("    end: str", "    end")
WRONG = """
from carex import Context, Plugin

plugin = Plugin("wrong")

@plugin.handler(None)
async def ring(payload: dict, ctx: Context) -> None: ...
"""


def test_a_check_opens_the_client_of_a_plugin_without_checks(desk: Installation) -> None:
    (desk.home / "desk.py").write_text(CLOSED)
    ended = desk.run("handlers", "check", "desk")
    assert (ended.returncode, "ConnectionError: nobody is in" in ended.stdout) == (1, True)


def test_a_check_that_gives_no_findings_is_named(desk: Installation) -> None:
    (desk.home / "desk.py").write_text(DESK.replace("return [Finding", "return ['x'] or [Finding"))
    ended = desk.run("handlers", "check", "desk")
    assert (ended.returncode, "a check must return a list of Finding" in ended.stdout) == (1, True)


def test_one_plugins_mistake_costs_the_others_nothing(desk: Installation) -> None:
    (desk.home / "wrong.py").write_text(WRONG)
    desk.env["CAREX_HANDLERS"] = "wrong:plugin,desk:plugin"
    listed = desk.run("handlers", "list")
    assert "desk_ring" in listed.stdout
    assert f"ring ({desk.home}/wrong.py:6): None cannot be a task type" in listed.stderr


@pytest.mark.parametrize("command", ["send", "handlers run", "handlers show"])
def test_a_payload_that_cannot_be_read_is_said_in_a_line(command: str, desk: Installation) -> None:
    (desk.home / "desk.py").write_text(ODD)
    ended = desk.run(*command.split(), "desk_ring")
    assert ended.returncode == 3
    assert f"Error: ring ({desk.home}/desk.py:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tasks_whose_payload_cannot_be_read_wait(desk: Installation) -> None:
    desk.run("send", "desk_ring")
    (desk.home / "desk.py").write_text(ODD)
    ended = desk.run("worker", "--burst")
    assert "Plugin desk cannot be set up, its tasks wait: ring (" in ended.stderr
    assert [entry.state for entry in desk.entries()] == ["waiting"]
    assert "the payload of desk_ring cannot be" in desk.run("handlers", "list").stderr
    assert "the payload of desk_ring cannot be" in desk.run("handlers", "check", "desk").stdout
