"""`carex service`: the files it writes, those it leaves alone, and what the tools that read them say."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from carex.task import Task

if TYPE_CHECKING:
    from conftest import Installation

Eventually = Callable[..., Any]
EVERY_PART = ("serve", "worker", "bridge")
BIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def tool(name: str) -> str:
    found = shutil.which(name, path=BIN)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("units")


def test_render_changes_nothing(installation: Installation) -> None:
    before = sorted(installation.home.rglob("*"))
    found = installation.ask("service", "render", *EVERY_PART)
    assert found["schema"] == "carex.service/1"
    assert [Path(file["path"]).name for file in found["files"]] == [
        "carex-serve.service", "carex-worker.service", "carex-bridge.service", "carex",
    ]  # fmt: skip
    assert sorted(installation.home.rglob("*")) == before


def test_install_writes_what_render_shows_and_a_second_time_nothing(installation: Installation, folder: Path) -> None:
    options = ("--directory", str(folder))
    shown = installation.ask("service", "render", "worker", *options)["files"]
    first = installation.run("service", "install", "worker", *options)
    again = installation.run("service", "install", "worker", *options)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert {str(path): path.read_text() for path in folder.iterdir()} == {
        file["path"]: file["content"] for file in shown
    }
    assert (first.stderr.count("wrote"), again.stderr.count("wrote"), again.stderr.count("unchanged")) == (2, 0, 2)


def test_status_follows_the_files(installation: Installation, folder: Path) -> None:
    options = ("--directory", str(folder))

    def states() -> dict[str, tuple[str, bool]]:
        found = installation.ask("service", "status", *options)["parts"]
        return {row["part"]: (row["file"], row["current"]) for row in found}

    installation.run("service", "install", "worker", "serve", *options)
    assert states() == {"serve": ("ours", True), "worker": ("ours", True), "bridge": ("missing", False),
                        "logrotate": ("ours", True)}  # fmt: skip
    installation.env["CAREX_WORKER__GRACE"] = "600"
    assert states()["worker"] == ("ours", False)
    assert "out of date" in installation.run("service", "status", *options).stdout


def test_a_rehearsal_names_the_files_and_commands_and_does_nothing(installation: Installation, folder: Path) -> None:
    ended = installation.run("service", "install", "worker", "--dry-run", "--directory", str(folder / "new"))
    assert ended.returncode == 0, ended.stderr
    assert f"would write  {folder}/new/carex-worker.service" in ended.stderr
    assert "systemctl enable carex-worker" in ended.stderr
    assert not (folder / "new").exists()


def test_what_carex_did_not_write_is_neither_overwritten_nor_removed(installation: Installation, folder: Path) -> None:
    file = folder / "carex-worker.service"
    file.write_text("[Unit]\nDescription=somebody else's\n")
    ended = installation.run("service", "install", "worker", "serve", "--directory", str(folder))
    removed = installation.run("service", "uninstall", "--yes", "--directory", str(folder))
    assert (ended.returncode, removed.returncode) == (5, 4)
    assert "not Carex's" in ended.stderr
    assert [path.name for path in folder.iterdir()] == ["carex-worker.service"]
    assert "somebody else's" in file.read_text()


def test_two_homes_live_side_by_side_under_two_names(installation: Installation, folder: Path) -> None:
    options = ("service", "install", "worker", "--directory", str(folder))
    other = [*installation.command("--home", str(folder), *options)]
    installation.run(*options)
    refused = subprocess.run(other, capture_output=True, text=True)
    named = subprocess.run([*other, "--name", "test"], capture_output=True, text=True)
    assert (refused.returncode, named.returncode) == (5, 0)
    assert "another home's" in refused.stderr
    assert (folder / "test-worker.service").exists()


def test_uninstall_takes_the_rotation_along_with_the_last_part(installation: Installation, folder: Path) -> None:
    options = ("--directory", str(folder))
    installation.run("service", "install", "worker", "serve", *options)
    assert installation.run("service", "uninstall", "serve", *options).returncode == 5  # nobody to ask
    installation.run("service", "uninstall", "serve", "--yes", *options)
    assert sorted(path.name for path in folder.iterdir()) == ["carex-worker.service", "carex.logrotate"]
    assert installation.run("service", "uninstall", "--dry-run", *options).stderr.count("would remove") == 2
    installation.run("service", "uninstall", "--yes", *options)
    assert list(folder.iterdir()) == []


def test_without_the_right_to_write_there_the_way_out_is_said(installation: Installation, folder: Path) -> None:
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if powerless:
        tool("setpriv")
        os.chown(folder, 12345, 12345)
    folder.chmod(0o555)
    command = [*powerless, *installation.command("service", "install", "worker", "--directory", str(folder))]
    ended = subprocess.run(command, capture_output=True, text=True)
    folder.chmod(0o755)
    assert ended.returncode == 5, ended.stderr
    assert "sudo" in ended.stderr
    assert "--user" in ended.stderr


def test_a_service_of_ones_own_goes_where_ones_own_systemd_looks(installation: Installation, folder: Path) -> None:
    installation.env["HOME"] = str(folder)
    ended = installation.run("service", "install", "worker", "--user")
    assert ended.returncode == 0, ended.stderr
    assert (folder / ".config/systemd/user/carex-worker.service").exists()
    assert "systemctl --user daemon-reload" in ended.stderr
    assert "/etc/logrotate.d/carex" in ended.stderr


@pytest.fixture
def systemctl(installation: Installation, folder: Path) -> Path:
    """Where a systemd would be that answers: what it was told. It fails at what the file `refuse` names."""
    script, said = folder / "systemctl", folder / "said"
    script.write_text(
        f'#!/bin/sh\necho "$*" >>{said}\n[ "$1" != "$(cat {folder}/refuse 2>/dev/null)" ] && echo active\n'
    )
    script.chmod(0o755)
    installation.env["PATH"] = f"{folder}:{os.environ['PATH']}"
    return said


def test_what_changed_is_restarted_and_the_rest_is_only_started(
    installation: Installation, folder: Path, systemctl: Path
) -> None:
    options = ("--directory", str(folder / "units"))
    installation.run("service", "install", "worker", *options)
    systemctl.unlink()
    installation.run("service", "install", "worker", "serve", *options)
    assert systemctl.read_text().splitlines()[1:] == [
        "daemon-reload", "enable carex-serve carex-worker", "restart carex-serve", "start carex-worker",
    ]  # fmt: skip
    parts = installation.ask("service", "status", *options)["parts"]
    assert [row["active"] for row in parts] == ["active", "active", None, None]


def test_a_command_that_fails_is_named_with_those_that_are_left(
    installation: Installation, folder: Path, systemctl: Path
) -> None:
    (folder / "refuse").write_text("enable")
    ended = installation.run("service", "install", "worker", "--directory", str(folder / "units"))
    assert ended.returncode == 7
    assert "Error: systemctl enable carex-worker" in ended.stderr
    assert "Then: systemctl enable carex-worker; systemctl restart carex-worker" in ended.stderr


def test_what_is_only_set_in_this_shell_is_said(installation: Installation, folder: Path) -> None:
    installation.env["WEBHOOK_CAREX"] = "https://portal.example/rest/1/s3cr3t0word/"
    ended = installation.run("service", "install", "worker", "--dry-run", "--directory", str(folder))
    assert "Only set in this shell: WEBHOOK_CAREX" in ended.stderr
    assert "s3cr3t0word" not in ended.stderr


@pytest.mark.parametrize("name", ["plain", "a home with 100% $HOME; # and more"])
@pytest.mark.parametrize("options", [[], ["--user"], ["--user-name", "daemon"]], ids=["system", "own", "daemon"])
def test_systemd_finds_nothing_to_say_about_any_unit(
    installation: Installation, folder: Path, name: str, options: list[str]
) -> None:
    analyze = tool("systemd-analyze")
    home = installation.home / name
    home.mkdir()
    written = installation.run(
        "--home", str(home), "service", "install", *EVERY_PART, *options, "--directory", str(folder)
    )
    assert written.returncode == 0, written.stderr
    units = sorted(map(str, folder.glob("*.service")))
    ended = subprocess.run(
        [analyze, "verify", *(["--user"] if "--user" in options else []), *units],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert len(units) == 3
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


@pytest.mark.parametrize("part", EVERY_PART)
def test_a_unit_has_few_rights(installation: Installation, folder: Path, part: str) -> None:
    analyze = tool("systemd-analyze")
    rendered = installation.ask("--home", "/srv/carex", "service", "render", part, "--user-name", "daemon")
    unit = folder / f"carex-{part}.service"
    unit.write_text(rendered["files"][0]["content"])
    command = [analyze, "security", "--offline=true", "--threshold=20", str(unit)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def test_no_line_is_lost_when_logrotate_moves_the_files(
    installation: Installation, folder: Path, eventually: Eventually
) -> None:
    logrotate, logs = tool("logrotate"), installation.home / "logs"
    installation.run("service", "install", "worker", "--directory", str(folder))
    rotate = [logrotate, "--force", "--state", str(folder / "state"), str(folder / "carex.logrotate")]
    tasks: list[Task] = []

    def one_more() -> None:
        tasks.append(Task("zoo_tame", {}))
        installation.put(tasks[-1])

    def follows() -> bool:
        one_more()
        return (logs / "company_debug.log").exists()

    def written() -> str:
        packed = b"".join(gzip.decompress(path.read_bytes()) for path in logs.glob("company_debug.log.*.gz"))
        plain = [path.read_text() for path in logs.glob("company_debug.log*") if path.suffix != ".gz"]
        return packed.decode() + "".join(plain)

    installation.worker()
    for _ in range(2):
        one_more()
        eventually(lambda: (logs / "company_debug.log").stat().st_size)
        moved = subprocess.run(rotate, capture_output=True, text=True)
        assert moved.returncode == 0, moved.stderr
        eventually(follows)

    eventually(lambda: written().count("zoo_tame done") == len(tasks))
    assert {written().count(f"task_id={task.id}") for task in tasks} == {1}
    assert (logs / "company_debug.log.2.gz").exists()


def test_json_says_the_same_as_the_text(installation: Installation) -> None:
    text = installation.run("service", "render", "worker").stdout
    data = json.loads(installation.run("service", "render", "worker", "--json").stdout)
    assert text == "".join(f"# {file['path']}\n{file['content']}\n" for file in data["files"])
