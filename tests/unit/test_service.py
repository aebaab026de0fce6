"""The files of `carex service`: read as systemd, supervisor and logrotate would."""

from __future__ import annotations

import shlex
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest

from carex.cli import Root
from carex.cli.service import logrotate
from carex.cli.service.files import check, files_of, write
from carex.cli.service.plan import PARTS, Part, Plan, configured, plan_of
from carex.cli.service.supervisor import Supervisor
from carex.cli.service.systemd import Systemd
from carex.errors import ConfigError, NotFound, Refused


def plan(home: str = "/srv/carex", **changes: Any) -> Plan:
    path = Path(home)
    given: dict[str, Any] = {
        "name": "carex",
        "home": path,
        "carex": ("/opt/carex/bin/carex", "--home", home),
        "user": "carex",
        "group": "staff",
        "stop": 55,
        "writes": (path / "data", path / "logs"),
        "reads": (path, Path("/opt/carex/bin")),
    }
    return Plan(**{**given, **changes})


def unit(made: Plan, part: Part = "worker", *, user: bool = False) -> RawConfigParser:
    parser = RawConfigParser(delimiters="=", comment_prefixes="#", strict=False)  # SystemCallFilter= adds up
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(Systemd(user).render(made, part))
    return parser


def program(made: Plan, part: Part = "worker") -> dict[str, str]:
    """With the comments that supervisor sees."""
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(Supervisor().render(made, part))
    return dict(parser[f"program:carex-{part}"])


@pytest.mark.parametrize(("part", "words"), [("serve", "serve"), ("worker", "worker"), ("bridge", "camunda bridge")])
def test_each_part_is_started_by_its_command(part: Part, words: str) -> None:
    expected = f"/opt/carex/bin/carex --home /srv/carex {words}"
    assert unit(plan(), part)["Service"]["ExecStart"] == f":{expected}"
    assert program(plan(), part)["command"] == expected


def test_spaces_and_percent_signs_reach_systemd_as_they_are() -> None:
    found = unit(plan("/srv/a b 100%"))["Service"]
    assert found["ExecStart"] == ':/opt/carex/bin/carex --home "/srv/a b 100%%" worker'
    assert found["WorkingDirectory"] == "/srv/a b 100%%"
    assert found["ReadWritePaths"] == '"/srv/a b 100%%/data" "/srv/a b 100%%/logs"'


def test_spaces_and_percent_signs_reach_supervisor_as_they_are() -> None:
    made = plan("/srv/a b 100%")
    found = program(made)
    assert shlex.split(found["command"].replace("%%", "%")) == made.command("worker")
    assert found["directory"] == "/srv/a b 100%%"


@pytest.mark.parametrize("home", ["/srv/a #1", "/srv/a ;b"])
def test_a_path_that_supervisor_would_cut_off_is_refused(home: str) -> None:
    with pytest.raises(ConfigError, match="a comment would begin"):
        Supervisor().render(plan(home), "worker")


def test_nobody_is_killed_before_the_time_to_stop_is_over() -> None:
    assert unit(plan(stop=300))["Service"]["TimeoutStopSec"] == "300"
    assert program(plan(stop=300))["stopwaitsecs"] == "300"


def test_the_parent_of_several_processes_is_the_one_that_is_told_to_stop() -> None:
    found = unit(plan())["Service"]
    assert (found["KillMode"], found["Type"], found["Restart"]) == ("mixed", "notify", "on-failure")
    assert (program(plan())["stopasgroup"], program(plan())["killasgroup"]) == ("false", "true")


def test_what_would_end_the_same_way_again_is_not_started_again() -> None:
    assert unit(plan())["Service"]["RestartPreventExitStatus"] == "2 3"
    assert program(plan())["exitcodes"] == "0,2,3"


def test_both_run_as_the_user_of_the_plan() -> None:
    found = unit(plan())["Service"]
    assert (found["User"], found["Group"]) == ("carex", "staff")
    assert program(plan())["user"] == "carex"


@pytest.mark.parametrize(
    ("home", "protect_home", "private_tmp"),
    [("/srv/carex", "yes", "yes"), ("/home/anna/carex", "read-only", "yes"), ("/var/tmp/carex", "yes", "no")],
)
def test_no_fence_hides_the_home_folder_itself(home: str, protect_home: str, private_tmp: str) -> None:
    found = unit(plan(home))["Service"]
    assert (found["ProtectHome"], found["PrivateTmp"]) == (protect_home, private_tmp)
    assert found["ProtectSystem"] == "strict"


@pytest.mark.parametrize(
    ("part", "port", "right"), [("serve", 80, True), ("serve", 8000, False), ("worker", 80, False)]
)
def test_only_a_server_on_a_low_port_has_a_capability(part: Part, port: int, right: bool) -> None:
    expected = "CAP_NET_BIND_SERVICE" if right else ""
    assert unit(plan(port=port), part)["Service"]["CapabilityBoundingSet"] == expected


def test_a_unit_of_ones_own_asks_for_nothing_that_only_root_can_give() -> None:
    found = unit(plan(), user=True)
    assert not {"User", "ProtectSystem", "CapabilityBoundingSet", "PrivateTmp"} & set(found["Service"])
    assert found["Service"]["NoNewPrivileges"] == "yes"
    assert found["Install"]["WantedBy"] == "default.target"


def test_logrotate_takes_a_folders_name_for_no_pattern() -> None:
    text = logrotate.render(plan("/srv/a [b]*"))
    assert '"/srv/a [[]b][*]/logs/*.log" {' in text
    assert "su carex staff" in text


# ---------------------------------------------------------------- the plan


def test_the_plan_follows_the_settings(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[queue]\nurl = "sqlite:///var/lib/q/queue.db"\n[worker]\ngrace = 90.5\n')
    made = plan_of(Root(tmp_path, tmp_path / "own.toml"), "carex", None)
    assert made.stop > 90.5 + 20
    assert made.writes == (tmp_path / "data", tmp_path / "logs", Path("/var/lib/q"))
    assert made.carex[-4:] == ("--home", str(tmp_path), "--config", str(tmp_path / "own.toml"))
    assert Path(made.carex[0]).is_absolute()


def test_the_home_folders_owner_runs_it(tmp_path: Path) -> None:
    assert plan_of(Root(tmp_path), "carex", None).user == tmp_path.owner()
    assert plan_of(Root(tmp_path), "carex", "nobody").user == "nobody"


def test_a_user_who_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no user nosuchuser"):
        plan_of(Root(tmp_path), "carex", "nosuchuser")


@pytest.mark.parametrize("name", ['a"b', "a\nb", "a\\b"])
def test_a_home_that_no_file_can_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in a service's file"):
        plan_of(Root(tmp_path / name), "carex", None)


@pytest.mark.parametrize(("toml", "bridge"), [("", False), ('[camunda]\nbase_url = "http://e/engine-rest"\n', True)])
def test_the_bridge_is_taken_for_wanted_where_an_engine_is_set(tmp_path: Path, toml: str, bridge: bool) -> None:
    (tmp_path / "carex.toml").write_text(toml)
    assert ("bridge" in configured(Root(tmp_path).settings)) is bridge


# ---------------------------------------------------------------- the files


def test_a_file_is_ours_current_or_out_of_date(tmp_path: Path) -> None:
    file = files_of(Systemd(False), plan(), ["worker"], tmp_path)[0]
    assert (file.state, file.current) == ("missing", False)
    write(file)
    assert (file.state, file.current) == ("ours", True)
    newer = files_of(Systemd(False), plan(stop=99), ["worker"], tmp_path)[0]
    assert (newer.state, newer.current) == ("ours", False)


@pytest.mark.parametrize(
    ("content", "whose"),
    [("[Unit]\n", "not Carex's"), ("# Written by `carex service` for /srv/other\n", "another home's")],
)
def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path, content: str, whose: str) -> None:
    (tmp_path / "carex-worker.service").write_text(content)
    files = files_of(Systemd(False), plan(), ["worker"], tmp_path)
    with pytest.raises(Refused, match=f"is {whose}"):
        check(Systemd(False), files, tmp_path)


@pytest.mark.parametrize("kind", [Systemd(False), Systemd(True), Supervisor()], ids=["systemd", "user", "supervisor"])
def test_every_file_begins_with_the_mark_by_which_it_is_known(kind: Any, tmp_path: Path) -> None:
    files = files_of(kind, plan(), list(PARTS), tmp_path)
    assert len({file.path for file in files}) == 4
    assert all(file.content.startswith(f"{file.mark}\n") and "/srv/carex" in file.mark for file in files)
