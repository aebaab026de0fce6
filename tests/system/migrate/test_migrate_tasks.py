"""The deal distributor's users and lists are moved over: nothing is lost, nothing is assigned twice."""

from __future__ import annotations

import hashlib
import json
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from carex.queue import Queue
from carex.task import Done
from tests.system.conftest import Installation, SimulatedPortal

if TYPE_CHECKING:
    from tests.system.migrate.conftest import OldDistributor

Migrate = Callable[..., dict[str, Any]]
TASKS, ERRORS = "task_random_queue", "task_random_error_queue"
MOVED = ":moved-to-carex"


def item(deal: Any, contact: Any = 2, type: str = "process_carex_random") -> str:
    return json.dumps({"task_type": type, "payload": {"deal_id": deal, "cont_id": contact}})


def deals(installation: Installation, *states: Any) -> list[int]:
    return sorted(entry.task.payload["deal_id"] for entry in installation.entries(*states))


def files_of(folder: Path) -> dict[str, str]:
    """Every file below a folder, with what is in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_waiting_tasks_wait_here_and_failed_ones_are_failed_here(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    old.push(item(1), item(2))
    old.push(item(3), name=ERRORS)

    said = migrate()

    assert [(each["name"], each["new"]) for each in said["lists"]] == [(TASKS, 2), (ERRORS, 1)]
    assert (deals(either, "waiting"), deals(either, "failed")) == ([1, 2], [3])
    assert old.keys() == {f"{TASKS}{MOVED}": [item(1), item(2)], f"{ERRORS}{MOVED}": [item(3)]}
    assert "old installation" in either.ask("errors", "list")["tasks"][0]["reason"]


def test_the_oldest_deal_is_the_first_to_be_done(either: Installation, old: OldDistributor, migrate: Migrate) -> None:
    old.push(*[item(number) for number in range(1, 1201)])
    migrate()
    assert [entry.task.payload["deal_id"] for entry in either.entries("waiting")] == [*range(1200, 0, -1)]


def test_moved_over_twice_there_is_nothing_twice(either: Installation, old: OldDistributor, migrate: Migrate) -> None:
    old.push(item(1), item(2))
    old.push(item(3), name=ERRORS)
    old.employ(("5", "Anna", 1))
    migrate()
    before = old.keys()

    said = migrate()

    assert [each["items"] for each in said["lists"]] == [0, 0]
    assert (deals(either), old.keys()) == ([1, 2, 3], before)


def test_what_comes_later_is_moved_by_the_next_run(either: Installation, old: OldDistributor, migrate: Migrate) -> None:
    old.push(item(1))
    migrate()
    old.push(item(2))
    migrate()
    assert deals(either, "waiting") == [1, 2]
    assert old.list(f"{TASKS}{MOVED}") == [item(1), item(2)]


def test_failed_tasks_are_tried_again_where_that_is_wanted(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    old.push(item(3), name=ERRORS)
    migrate("--retry-errors")
    assert deals(either, "waiting") == [3]


def test_a_failed_deal_can_be_retried_by_the_usual_command(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    old.push(item(3), item(3), name=ERRORS)
    migrate()
    assert either.run("errors", "retry", "--all", "--yes").returncode == 0
    assert deals(either, "waiting") == [3]


def test_a_deal_that_is_here_already_is_not_put_twice(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    _, address = either.serve()
    first = httpx.post(f"{address}/CarexRandom?deal_id=1&cont_id=2").json()
    old.push(item(1), item(1), item(2))

    migrate()

    assert deals(either) == [1, 2]
    again = httpx.post(f"{address}/CarexRandom?deal_id=2&cont_id=2").json()
    assert (again["duplicate"], first["status"]) == (True, "queued")
    assert deals(either) == [1, 2]


def test_the_lists_have_the_names_of_the_old_env(either: Installation, old: OldDistributor, migrate: Migrate) -> None:
    old.env(f"redis_url={old.redis.url}\nTASKS=leads[1]\nTASKS_ERROR=leads_bad\nCAREX_RANDOM=give_away\n")
    old.push(item(1, type="give_away"), name="leads[1]")
    old.push(item(2), name="leads_bad")
    migrate()
    assert (deals(either, "waiting"), deals(either, "failed")) == ([1], [2])


def test_what_cannot_be_read_is_laid_aside_and_named(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    old.push("{", item(1), '{"task_type": "process_carex_random"}', item(None), item("DEAL_7"))

    said = migrate(code=7)

    assert deals(either) == [1]
    assert old.keys() == {
        f"{TASKS}{MOVED}": [item(1)],
        f"{TASKS}:unreadable": ["{", '{"task_type": "process_carex_random"}', item(None), item("DEAL_7")],
    }
    assert [each["reason"].partition(":")[0] for each in said["lists"][0]["unreadable"]] == [
        "it is not JSON",
        "its payload is no object",
        "deal_id",
        "deal_id",
    ]


def test_a_task_type_without_a_handler_stays_in_its_list(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    own = [item(7, type="process_own"), item(8, type="process_own")]
    old.push(own[0], item(1), own[1])
    assert migrate(code=7)["lists"][0]["unknown"] == {"process_own": 2}
    assert (deals(either), old.list()) == ([1], own)


def test_a_task_type_with_a_handler_is_put_under_its_own_name(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    old.push(json.dumps({"task_type": "own_type", "payload": {"number": 7}}))
    (either.home / "own.py").write_text(
        "from carex import Plugin\nplugin = Plugin('own')\n\n"
        "@plugin.handler('own_type')\ndef own(payload: dict, ctx):\n    return payload\n"
    )
    either.env["CAREX_HANDLERS"] = "own:plugin"
    migrate()
    (entry,) = either.entries("waiting")
    assert (entry.task.type, entry.task.payload) == ("own_type", {"number": 7})


def test_a_rehearsal_changes_nothing_anywhere(either: Installation, old: OldDistributor, migrate: Migrate) -> None:
    old.employ(("5", "Anna", 1))
    either.employ(2)
    old.push(item(1), "{")
    old.push(item(3), name=ERRORS)
    before = files_of(either.home), old.dump()

    said = migrate("--dry-run", code=7)

    assert (files_of(either.home), old.dump()) == before
    assert [each["id"] for each in said["users"]["added"]] == [5]
    assert [each["tasks"] for each in said["lists"]] == [1, 1]


def test_people_come_with_their_exclusions_and_who_is_here_stays(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    either.employ(2)
    old.employ(("1", "Anna", 1), ("5", "Boris", 0), ("6", "Vera", 1), ("7", "Gleb", None))

    said = migrate()

    people = {each["id"]: (each["name"], each["excluded"]) for each in either.ask("users", "list")["users"]}
    assert people == {
        1: ("Сотрудник 1", False),
        2: ("Сотрудник 2", False),
        5: ("Boris", False),
        6: ("Vera", True),
        7: ("Gleb", False),
    }
    assert said["users"]["kept"][0]["difference"] == "the old name is Anna; available here, excluded there"


def test_the_users_of_the_readme_have_one_that_no_portal_knows(
    either: Installation, old: OldDistributor, migrate: Migrate
) -> None:
    names = ["Michaele J.", "John S.", "Elon M.", "Jeff B.", "Steve J.", "Lebron J."]
    old.employ(*[(str(number), name, False) for number, name in enumerate(names)])
    said = migrate(code=7)
    assert [each["name"] for each in said["users"]["added"]] == names[1:]
    assert "'0' is not an employee's id" in said["users"]["problems"][0]


def test_an_old_worker_that_still_takes_tasks_is_not_worked_against(
    either: Installation, old: OldDistributor, migrate: Migrate, eventually: Callable[..., Any]
) -> None:
    with socket.create_connection(("127.0.0.1", old.redis.port)) as worker:
        worker.sendall(b"BRPOP task_random_queue 30\r\n")
        eventually(lambda: "cmd=brpop" in str(old.redis.ask("CLIENT", "LIST")), what="the old worker's BRPOP")
        old.push(item(3), name=ERRORS)
        migrate(code=5)
        assert (deals(either), old.list(ERRORS)) == ([], [item(3)])
        migrate("--while-running")
    assert deals(either, "failed") == [3]


def test_no_secret_is_shown(either: Installation, old: OldDistributor) -> None:
    old.env((old.folder / ".env").read_text() + 'SMTP_PASSWORD=hunter2hunter2\nUSERS={"1": {}}\n')
    old.push(item(1))
    for options in ([], ["--json"], ["--dry-run"]):
        ended = either.run("migrate", "tasks", "--from", str(old.folder), "--yes", *options)
        assert ended.returncode == 0, ended.stderr
        said = ended.stdout + ended.stderr
        assert "s3cr3t" not in said
        assert "hunter2" not in said
    refused = either.run("migrate", "tasks", "--env", str(old.folder / "none"))
    assert refused.returncode == 3


def test_a_redis_that_refuses_is_named_without_its_password(either: Installation, old: OldDistributor) -> None:
    old.env("REDIS_URL=redis://:Passw0rd-of-old@127.0.0.1:1/0\n")
    ended = either.run("migrate", "tasks", "--from", str(old.folder), "--yes")
    assert ended.returncode == 6
    assert "Passw0rd" not in ended.stdout + ended.stderr


def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(
    either: Installation, old: OldDistributor, migrate: Migrate, eventually: Callable[..., Any]
) -> None:
    """The command is killed ten times, each time a little later after it has begun, while new deals keep coming."""
    number, interrupted = 0, 0
    for turn in range(10):
        old.push(*[item(number + n) for n in range(1, 1501)])
        number += 1500
        process = either.start("migrate", "tasks", "--from", str(old.folder), "--yes")
        eventually(lambda: old.moving() or not old.list(), what="the renaming")
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02 * turn)
        process.kill()
        process.wait(10)
        interrupted += bool(old.moving())
    migrate()
    assert interrupted > 1
    assert deals(either, "waiting") == [*range(1, number + 1)]
    assert sorted(old.list(f"{TASKS}{MOVED}")) == sorted(item(n) for n in range(1, number + 1))
    assert list(old.keys()) == [f"{TASKS}{MOVED}"]


@pytest.mark.parametrize("end", ["waiting", "done"])
def test_a_run_that_was_killed_after_its_put_puts_nothing_again(
    either: Installation, old: OldDistributor, migrate: Migrate, end: str
) -> None:
    """The list is as a kill just before the last step leaves it; a worker may have been quick meanwhile."""
    either.env["CAREX_QUEUE__DEDUPE_WINDOW"] = "0"
    old.push(item(1), item(2))
    migrate()
    taken_at = int(either.entries()[0].task.id[:12], 16)
    old.redis.ask("RENAME", f"{TASKS}{MOVED}", f"{TASKS}:moving-to-carex:{taken_at}")
    if end == "done":
        either.with_queue(finish)

    said = migrate()

    assert (said["lists"][0]["items"], said["lists"][0]["new"]) == (2, 0)
    assert (deals(either), deals(either, end)) == ([1, 2], [1, 2])
    assert old.keys() == {f"{TASKS}{MOVED}": [item(1), item(2)]}


async def finish(queue: Queue) -> None:
    await queue.settle([(each, Done()) for each in await queue.claim(["*"], 10)])


def test_every_old_deal_is_assigned_once_to_somebody_who_is_not_excluded(
    either: Installation, old: OldDistributor, migrate: Migrate, portal: Callable[..., SimulatedPortal]
) -> None:
    started = portal("--rate", "50")
    for database in (either.home / "data").glob("people.db*"):
        database.unlink()  # the people come from the old installation
    old.employ(*[(str(id), f"Employee {id}", id in (2, 5)) for id in range(1, 9)])
    old.push(*[item(number, 1000 + number) for number in range(1, 31)])
    old.push(item(31, 1031), item(31, 1031), name=ERRORS)
    migrate("--retry-errors")

    worker = either.run("worker", "--burst", timeout=120)

    assert worker.returncode == 0, worker.stderr
    given = started.responsible()
    assert {deal: len(people) for deal, people in given.items()} == dict.fromkeys(range(1, 32), 1)
    assert not {2, 5} & {person for people in given.values() for person in people}


def test_a_deal_that_somebody_has_by_now_stays_theirs(
    either: Installation,
    old: OldDistributor,
    migrate: Migrate,
    portal: Callable[..., SimulatedPortal],
    eventually: Callable[..., Any],
) -> None:
    """The old worker had given the deal away, some time after it was made, and failed afterwards at its contact."""
    started = portal("--rate", "50")

    def given() -> bool:
        asked = {"entityTypeId": 2, "id": 31, "fields": {"assignedById": 3, "title": str(time.time())}}
        deal = httpx.post(f"{started.webhook}crm.item.update", json=asked).json()["result"]["item"]
        return bool(deal["updatedTime"] > deal["createdTime"])

    eventually(given, what="an update a second after the creation")
    old.push(item(31), name=ERRORS)
    migrate("--retry-errors")
    either.run("worker", "--burst", timeout=120)
    assert started.responsible() == {31: {3}}
    assert [entry.task.payload["deal_id"] for entry in either.entries("done")] == [31]


@pytest.mark.parametrize(
    ("schema", "rows"),
    [
        ("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, excluded BOOLEAN)", [(5, "Anna", True)]),
        ("CREATE TABLE people (user_id INT, user_name TEXT, exclusion TEXT)", [(5, "Anna", "true")]),
        ("CREATE TABLE t (number INT, USER_ID TEXT, USER_NAME TEXT, IS_EXCLUDED TEXT)", [(0, "5", "Anna", "да")]),
    ],
)
def test_users_are_found_in_other_tables_too(
    either: Installation, tmp_path: Path, schema: str, rows: list[tuple[Any, ...]]
) -> None:
    with sqlite3.connect(tmp_path / "staff.sqlite") as connection:
        connection.execute(schema)
        connection.executemany(f"INSERT INTO {schema.split()[2]} VALUES ({','.join('?' * len(rows[0]))})", rows)
    connection.close()
    either.run("migrate", "tasks", "--users", str(tmp_path / "staff.sqlite"), "--yes")
    (anna,) = either.ask("users", "list")["users"]
    assert (anna["id"], anna["name"], anna["excluded"]) == (5, "Anna", True)


def test_time_is_not_told_where_nobody_knows_it(either: Installation, old: OldDistributor, migrate: Migrate) -> None:
    old.push(item(1))
    migrate()
    (entry,) = either.entries("waiting")
    assert (entry.task.created, entry.task.due <= time.time(), entry.task.source) == (0.0, True, "migration")
