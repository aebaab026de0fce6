"""The operator's commands: config, init, handlers, send, tasks, errors."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from carex.people import Directory, open_people
from carex.queue import Filter, Queue
from carex.task import Fail, Task

if TYPE_CHECKING:
    from tests.system.conftest import Installation

WEBHOOK = "https://portal.example/rest/1/s3cr3tw0rd/"


def fail(installation: Installation, *tasks: Task, reason: str = "deal 1 is not there") -> None:
    """Tasks that were tried and failed."""

    async def act(queue: Queue) -> None:
        await queue.put(tasks)
        deliveries = await queue.claim(["*"], len(tasks))
        await queue.settle([(delivery, Fail(reason)) for delivery in deliveries])

    installation.with_queue(act)


# ---------------------------------------------------------------------- init and config


def test_init_makes_a_home_that_only_its_owner_reads(installation: Installation) -> None:
    ended = installation.run("init")

    assert ended.returncode == 0
    modes = {
        name: stat.S_IMODE((installation.home / name).stat().st_mode) for name in (".env", "data", "data/queue.db")
    }
    assert modes == {".env": 0o600, "data": 0o700, "data/queue.db": 0o600}
    assert installation.run("config", "check").returncode == 0


def test_init_again_keeps_everything_and_says_so(installation: Installation) -> None:
    installation.run("init")
    dotenv, toml = installation.home / ".env", installation.home / "carex.toml"
    dotenv.write_text("LOG_LEVEL=DEBUG")
    toml.write_text("[server]\nport = 1")

    ended = installation.run("init")

    assert (dotenv.read_text(), toml.read_text()) == ("LOG_LEVEL=DEBUG", "[server]\nport = 1")
    assert "kept    carex.toml\nkept    .env\n" in ended.stderr


def test_init_with_force_moves_the_old_files_aside(installation: Installation) -> None:
    (installation.home / "carex.toml").write_text("[server]\nport = 1")

    assert installation.run("init", "--force").returncode == 0

    assert (installation.home / "carex.toml.old").read_text() == "[server]\nport = 1"
    assert installation.run("config", "check").returncode == 0


def test_each_homes_tokens_are_its_own(installation: Installation) -> None:
    installation.run("init")
    tokens = (installation.home / ".env").read_text()
    installation.run("init", "--force")

    assert (installation.home / ".env").read_text() != tokens


def test_init_where_nothing_can_be_written_says_what_to_do(installation: Installation) -> None:
    (installation.home / "data").write_text("a file")

    ended = installation.run("init")

    assert ended.returncode == 3
    assert f"{installation.home}/data cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_config_show_says_where_each_value_comes_from_and_hides_secrets(installation: Installation) -> None:
    installation.env["WEBHOOK_CAREX"] = WEBHOOK
    (installation.home / "carex.toml").write_text("[server]\nport = 9000\n")

    ended = installation.run("config", "show", "--origin")

    rows = {line.split()[0]: line.split()[1:] for line in ended.stdout.splitlines()}
    assert rows["server.port"] == ["9000", "carex.toml:2"]
    assert rows["server.host"] == ["127.0.0.1", "default"]
    assert rows["plugins.bitrix24.webhook"] == ["https://portal.example/rest/1/***/", "env", "WEBHOOK_CAREX"]
    assert "s3cr3tw0rd" not in ended.stdout + ended.stderr


def test_config_check_names_all_mistakes_at_once(installation: Installation) -> None:
    installation.env["WEBHOOK_CAREX"] = "https://portal.example/s3cr3tw0rd"
    (installation.home / "carex.toml").write_text('[server]\nprot = 1\nport = "x"\n[plugins.wreck]\nx = 1\n')

    ended = installation.run("config", "check", "--json")

    found = json.loads(ended.stdout)
    assert (ended.returncode, found["ok"], len(found["problems"])) == (3, False, 3)
    assert "carex.toml:2: unknown setting server.prot. Did you mean server.port?" in found["problems"]
    assert "env WEBHOOK_CAREX: plugins.bitrix24.webhook: " in found["problems"][2]
    assert "s3cr3tw0rd" not in ended.stdout + ended.stderr


def test_a_broken_settings_file_stops_a_command_with_its_line(installation: Installation) -> None:
    (installation.home / "carex.toml").write_text("[server\n")

    ended = installation.run("tasks", "list")

    assert ended.returncode == 3
    assert ended.stderr.startswith("Error: carex.toml:1: not valid TOML")
    assert not (installation.home / "data").exists()


# ---------------------------------------------------------------------- handlers


def test_handlers_are_listed_with_the_broken_plugins_and_their_error(installation: Installation) -> None:
    found = installation.ask("handlers", "list")

    (tame,) = [each for each in found["handlers"] if each["type"] == "zoo_tame"]
    assert tame == {
        "type": "zoo_tame",
        "plugin": "zoo",
        "package": "carex-zoo 1.0",
        "attempts": 8,
        "timeout": 300.0,
        "summary": "Does as it is told.",
    }
    (wreck,) = found["broken"]
    assert (wreck["plugin"], "no_such_module" in wreck["error"]) == ("wreck", True)


def test_for_people_broken_plugins_are_named_beside_the_table(installation: Installation) -> None:
    ended = installation.run("handlers", "list")

    assert ended.returncode == 0
    assert "zoo_tame" in ended.stdout
    assert "Plugin wreck (carex-zoo 1.0) is broken" in ended.stderr


def test_a_handlers_schema_is_shown(installation: Installation) -> None:
    found = installation.ask("handlers", "show", "zoo_tame")

    assert found["schema"]["properties"]["n"]["type"] == "integer"
    assert found["doc"] == "Does as it is told."


# ---------------------------------------------------------------------- send


def test_a_task_is_sent_with_values_as_json_or_text(installation: Installation) -> None:
    ended = installation.run("send", "zoo_tame", "n=5", "trace=a b", "seconds=0.5")

    (entry,) = installation.entries("waiting")
    assert ended.stdout.strip() == entry.task.id
    assert entry.task.payload == {"n": 5, "trace": "a b", "seconds": 0.5}
    assert entry.task.source == "cli"


@pytest.mark.parametrize("where", ["here", "file", "stdin"])
def test_a_whole_payload_comes_from_the_line_a_file_or_stdin(installation: Installation, where: str) -> None:
    file = installation.home / "payload.json"
    file.write_text('{"n": 7}')
    payload = {"here": '{"n": 7}', "file": f"@{file}", "stdin": "@-"}[where]

    installation.run("send", "zoo_tame", "--payload", payload, input='{"n": 7}')

    assert [entry.task.payload for entry in installation.entries()] == [{"n": 7}]


def test_the_same_key_again_adds_nothing_and_gives_the_first_id(installation: Installation) -> None:
    first = installation.ask("send", "zoo_tame", "--key", "k")
    second = installation.ask("send", "zoo_tame", "--key", "k")

    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["task_id"] == second["task_id"]
    assert installation.entries()[0].task.window == 300.0


def test_a_delayed_task_is_due_later(installation: Installation) -> None:
    installation.run("send", "zoo_tame", "--delay", "1h")

    (entry,) = installation.entries("waiting")
    assert entry.task.due - entry.task.created == pytest.approx(3600, abs=1)
    assert "waiting, due in" in installation.run("tasks", "list").stdout


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["zoo_tame", "n=five"], 2, "n: Input should be a valid integer"),
        (["zoo_tame", "n"], 2, "'n' is not KEY=VALUE."),
        (["zoo_tame", "--payload", "{n: 5}"], 2, "--payload is not JSON"),
        (["zoo_tame", "--payload", "[" * 100_000], 2, "--payload is not JSON"),
        (["zoo_tame", "--payload", "[1]"], 2, "--payload must be a JSON object"),
        (["zoo_tame", "--payload", "@gone.json"], 2, "gone.json cannot be read: No such file"),
        (["zoo_tame", "n=1", "--payload", "{}"], 2, "not both"),
        (["zoo_tame", "--payload", '{"trace": "\\ud800"}'], 2, "not UTF-8"),
        (["zoo_tame", "--delay", "soon"], 2, "'soon' is not a length of time"),
        (["zoo_tam"], 4, "Did you mean 'zoo_tame'?"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_reason(
    installation: Installation, args: list[str], code: int, said: str
) -> None:
    ended = installation.run("send", *args)

    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert installation.entries() == []


# ---------------------------------------------------------------------- tasks


def test_tasks_are_found_by_state_type_age_and_text(installation: Installation) -> None:
    wanted = Task("zoo_tame", {"deal": "Иванов"})
    installation.put(Task("zoo_tame"), Task("zoo_sync", {"deal": "Иванов"}), wanted)

    found = installation.ask(
        "tasks", "list", "--state", "waiting", "--type", "*_tame", "--since", "1h", "--match", "иванов"
    )

    assert [each["id"] for each in found["tasks"]] == [wanted.id]


def test_a_task_is_shown_with_its_attempts_its_decision_and_its_log(installation: Installation) -> None:
    task = Task("zoo_tame", {"n": 1})
    fail(installation, task)
    people_file = installation.home / "data" / "people.db"
    directory = Directory(people_file)
    directory.add(5, "Анна")
    directory.close()
    installation.with_queue(lambda queue: _decide(people_file, task))
    logs = installation.home / "logs"
    logs.mkdir()
    (logs / "company_debug.log").write_text(f"later | task_id={task.id}\nof another\n")
    (logs / "company_debug.log.1.gz").write_bytes(gzip.compress(f"first | task_id={task.id}\n".encode()))

    found = installation.ask("tasks", "show", task.id)

    assert (found["state"], found["reason"], len(found["history"])) == ("failed", "deal 1 is not there", 1)
    assert [each["user_name"] for each in found["decisions"]] == ["Анна"]
    assert sorted(found["log"]) == [f"first | task_id={task.id}", f"later | task_id={task.id}"]
    shown = installation.run("tasks", "show", task.id).stdout
    assert "failed: deal 1 is not there" in shown
    assert "5 Анна for deal:1" in shown


async def _decide(people_file: Path, task: Task) -> None:
    people = open_people(people_file)
    await people.decide(task, "deal:1")
    await people.close()


def test_the_beginning_of_an_id_is_enough_if_there_is_one(installation: Installation) -> None:
    installation.put(Task("zoo_tame", id="abc1"), Task("zoo_tame", id="abd2"))

    assert installation.ask("tasks", "show", "abc")["id"] == "abc1"
    several = installation.run("tasks", "show", "ab")
    none = installation.run("tasks", "show", "x")
    assert (several.returncode, none.returncode) == (2, 4)
    assert "2 tasks have an id that begins with 'ab'" in several.stderr


@pytest.mark.parametrize("args", [("tasks", "show", "evil"), ("errors", "list")])
def test_what_came_from_outside_does_not_steer_the_terminal(installation: Installation, args: tuple[str, ...]) -> None:
    fail(installation, Task("zoo_tame", id="evil"), reason="\x1b[2Jgone")

    shown = installation.run(*args).stdout

    assert "\x1b" not in shown
    assert "\\x1b[2Jgone" in shown


# ---------------------------------------------------------------------- errors


def test_failed_tasks_are_listed_as_the_kept_queue(installation: Installation) -> None:
    installation.put(Task("zoo_sync"))
    fail(installation, Task("zoo_tame", id="a", due=0.5))

    found = installation.ask("errors", "list", "--type", "zoo_*")

    assert found["queue"] == "task_random_error_queue"
    assert found["failed"] == len(found["tasks"]) == 1


def test_causes_are_grouped_whatever_the_numbers_in_them(installation: Installation) -> None:
    fail(installation, Task("zoo_tame", id="a"), reason="deal 1 is gone")
    fail(installation, Task("zoo_tame", id="b"), reason="deal 22 is gone")
    fail(installation, Task("zoo_tame", id="c"), reason="no right")

    causes = installation.ask("errors", "list", "--group")["causes"]

    assert [(each["tasks"], each["cause"]) for each in causes] == [(2, "deal … is gone"), (1, "no right")]


@pytest.mark.parametrize(("verb", "left"), [("retry", ["waiting"] * 2), ("delete", [])])
def test_all_failed_tasks_are_retried_or_deleted(installation: Installation, verb: str, left: list[str]) -> None:
    fail(installation, Task("zoo_tame"), Task("zoo_sync"))

    ended = installation.run("errors", verb, "--all", "--yes")

    assert ended.returncode == 0
    assert [entry.state for entry in installation.entries()] == left


def test_a_filter_spares_the_others(installation: Installation) -> None:
    fail(installation, Task("zoo_tame", id="a"), reason="no right")
    fail(installation, Task("zoo_tame", id="b"), reason="timed out")

    found = installation.ask("errors", "retry", "--match", "TIMED", "--since", "1h", "--yes")

    assert found["retried"] == 1
    assert [entry.task.id for entry in installation.entries("failed")] == ["a"]


@pytest.mark.parametrize("verb", ["retry", "delete"])
def test_a_dry_run_shows_what_would_be_done_and_does_nothing(installation: Installation, verb: str) -> None:
    fail(installation, Task("zoo_tame", id="a"))

    ended = installation.run("errors", verb, "--all", "--dry-run")

    assert "a " in ended.stdout
    assert "1 would be" in ended.stderr
    assert len(installation.entries("failed")) == 1


def test_bulk_without_a_terminal_needs_yes(installation: Installation) -> None:
    fail(installation, Task("zoo_tame", id="a"))

    ended = installation.run("errors", "delete", "--all", input="y\n")

    assert ended.returncode == 5
    assert len(installation.entries("failed")) == 1


def test_ids_need_no_confirmation_and_those_unknown_are_named(installation: Installation) -> None:
    installation.put(Task("zoo_sync", id="waits", due=4e9))
    fail(installation, Task("zoo_tame", id="a"), Task("zoo_tame", id="b"))

    ended = installation.run("errors", "delete", "a", "gone", "waits", "--json")

    assert ended.returncode == 7
    assert json.loads(ended.stdout) == {
        "schema": "carex.errors/1",
        "deleted": 1,
        "dry_run": False,
        "unknown": ["gone", "waits"],
    }
    assert {entry.task.id for entry in installation.entries()} == {"b", "waits"}


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "Say which failed tasks"),
        (["a", "--all"], 2, "Say which failed tasks"),
        (["gone"], 4, "No failed task gone."),
        (["--since", "yesterday"], 2, "'yesterday' is not a length of time"),
    ],
)
def test_a_retry_that_is_put_wrongly_changes_nothing(
    installation: Installation, args: list[str], code: int, said: str
) -> None:
    fail(installation, Task("zoo_tame", id="a"))

    ended = installation.run("errors", "retry", *args)

    assert (ended.returncode, said in ended.stderr) == (code, True)
    assert len(installation.entries("failed")) == 1


def test_many_ids_are_retried_in_parts(installation: Installation) -> None:
    tasks = [Task("zoo_tame") for _ in range(1200)]
    fail(installation, *tasks)

    assert installation.ask("errors", "retry", *(task.id for task in tasks))["retried"] == 1200
    assert installation.with_queue(lambda queue: queue.tasks(Filter(states=["failed"]))) == []
