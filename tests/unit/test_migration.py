"""The old systems' files are read as they are; what cannot be read is said, with what to try."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from carex.camunda.messages import to_task
from carex.errors import ConfigError, NotFound, UsageError
from carex.migration import dotenv
from carex.migration.lists import Taken
from carex.migration.routing import as_toml, differences, read_topics
from carex.migration.units import find_programs, find_units
from carex.migration.users import find_users, read_users
from carex.rabbitmq.message import Incoming
from carex.settings import RabbitMQSettings, load

TASKS_ENV = """
 REDIS_URL=redis://:Passw0rd@localhost:6379/0
 WEBHOOK_CAREX=https://bitrix24.ru/rest/7/secretkey/
tech_account="1111"
STRANGER=hidden-value
"""
CAMUNDA_ENV = """\
CAMUNDA_BASE_URL=https://camunda.example.com/engine-rest
CAMUNDA_WORKER_ID=universal-worker
CAMUNDA_LOCK_DURATION=31536000000
CAMUNDA_AUTH_USERNAME=demo
CAMUNDA_AUTH_PASSWORD=hidden-value
RABBITMQ_HOST=rmq.example.com
RABBITMQ_PASSWORD=hidden-value
RABBITMQ_VIRTUAL_HOST=prod
BPMN_CACHE_TTL_HOURS=24
"""
CONFIG = """
import nothing_like_this
class RoutingConfig:
    TOPIC_TO_SYSTEM_MAPPING: Dict[str, str] = {
        "bitrix24": "bitrix24", "bitrix_create_task": "bitrix24", "1c_sync_data": "1c", "send_email": "python-services",
        "send_telegram": "python-services", "op": "1c", "op_create_project": "openproject",
    }
"""


def written(folder: Path, text: str, name: str = ".env") -> Path:
    (folder / name).write_text(text)
    return folder / name


def database(file: Path, *statements: str) -> Path:
    with sqlite3.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return file


@pytest.mark.parametrize(
    ("text", "rules", "expected"),
    [
        (TASKS_ENV, dotenv.TASKS, [dotenv.KEPT, dotenv.KEPT, dotenv.CHANGED, dotenv.UNKNOWN]),
        (CAMUNDA_ENV, dotenv.CAMUNDA, [*[dotenv.KEPT] * 7, dotenv.CHANGED, dotenv.DROPPED]),
    ],
)
def test_every_old_variable_has_a_fate_and_no_secret_is_shown(
    tmp_path: Path, text: str, rules: dict[str, dotenv.Rule], expected: list[str]
) -> None:
    found = dotenv.fates(dotenv.read_env(written(tmp_path, text)), rules)
    assert [each.fate for each in found] == expected
    said = str(found)
    assert not any(secret in said for secret in ("Passw0rd", "secretkey", "hidden-value"))
    assert "https://bitrix24.ru/rest/7/***/" in said or 'vhost = "prod"' in said


@pytest.mark.parametrize("url", ["redis:/:Passw0rd@localhost", "Passw0rd", "redis://:Pass w0rd@localhost"])
def test_an_address_with_a_slip_in_it_is_not_shown(url: str) -> None:
    (found,) = dotenv.fates({"REDIS_URL": url}, dotenv.TASKS)
    assert found.value == "***"


@pytest.mark.parametrize(
    ("text", "rules"),
    [(TASKS_ENV, dotenv.TASKS), (CAMUNDA_ENV, dotenv.CAMUNDA)],
)
def test_what_works_as_it_is_is_taken_by_the_settings(tmp_path: Path, text: str, rules: dict[str, dotenv.Rule]) -> None:
    file = written(tmp_path, text)
    kept = [each.name for each in dotenv.fates(dotenv.read_env(file), rules) if each.fate == dotenv.KEPT]
    settings = load(tmp_path, None, {}, {})
    from carex_bitrix24 import Settings

    settings.plugin("bitrix24", Settings)
    assert len([row for row in settings.rows() if row.origin.startswith(".env")]) == len(kept)


@pytest.mark.parametrize("name", ["none", "carex.toml"])
def test_an_env_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "carex.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=name):
        dotenv.read_env(tmp_path / name)


def test_a_database_of_users_is_found_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "var").mkdir()
    users = "CREATE TABLE staff (id INT, name TEXT, is_excluded INT)"
    database(tmp_path / "venv" / "other.db", users)
    database(tmp_path / "queue.db", "CREATE TABLE tasks (id INT)")
    wanted = database(tmp_path / "var" / "users.sqlite3", users)
    assert find_users(tmp_path) == wanted


def test_no_database_or_several_are_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no database of users"):
        find_users(tmp_path)
    for name in ("one.db", "two.db"):
        database(tmp_path / name, "CREATE TABLE users (user_id INT, user_name TEXT, is_excluded INT)")
    with pytest.raises(UsageError, match=r"one\.db, .*two\.db"):
        find_users(tmp_path)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["CREATE TABLE users (user_id INT, user_name TEXT)"], r"It has: users \(user_id, user_name\)"),
        (["CREATE VIEW v AS SELECT 1"], "It has: no table"),
        (
            [f"CREATE TABLE {name} (id INT, name TEXT, excluded INT)" for name in ("sales", "support")],
            "several tables of users: sales, support",
        ),
    ],
)
def test_users_without_the_columns_are_described(tmp_path: Path, statements: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_users(database(tmp_path / "users.db", *statements))


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no database"):
        read_users(written(tmp_path, "id,name\n" * 100, "users.db"))


def test_rows_that_name_nobody_or_say_neither_yes_nor_no_are_left_out_and_named(tmp_path: Path) -> None:
    file = database(
        tmp_path / "users.db",
        "CREATE TABLE users (user_id TEXT, user_name TEXT, is_excluded TEXT)",
        "INSERT INTO users VALUES ('0', 'A', 0), ('5', 'B', 'maybe'), "
        "('6', '', 0), ('7', 'C', NULL), ('8', 'D', 'True')",
    )
    roster = read_users(file)
    assert [(line.id, line.excluded) for line in roster.people] == [(7, False), (8, True)]
    assert [problem.partition(":")[0] for problem in roster.problems] == ["row 1", "row 2", "row 3"]


def test_users_are_read_from_a_database_in_wal_mode_without_a_trace(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "users.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE users (user_id INT, user_name TEXT, is_excluded INT)")
    connection.execute("INSERT INTO users VALUES (5, 'Anna', 1)")
    connection.commit()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [line.id for line in read_users(tmp_path / "users.db").people] == [5]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    connection.close()


def test_the_id_of_a_task_follows_from_its_place_in_a_list_that_was_taken() -> None:
    one, other = (Taken("tasks", f"tasks:moving-to-carex:{stamp}", []) for stamp in (1760000000000, 1760000000001))
    assert one.task_id(0) == one.task_id(0) != one.task_id(1)
    assert one.task_id(0) != other.task_id(0)
    assert (len(one.task_id(0)), int(one.task_id(0)[:12], 16)) == (32, 1760000000000)


def test_old_topics_are_read_without_running_the_file(tmp_path: Path) -> None:
    topics = read_topics(written(tmp_path, CONFIG, "config.py"))
    assert topics["send_telegram"] == "python-services"


@pytest.mark.parametrize("text", ["def (", "X = 1", "TOPIC_TO_SYSTEM_MAPPING = {**OTHER}"])
def test_a_config_without_a_plain_table_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.py"):
        read_topics(written(tmp_path, text, "config.py"))


def test_with_the_printed_routes_every_topic_goes_where_it_went(tmp_path: Path) -> None:
    topics = read_topics(written(tmp_path, CONFIG, "config.py"))
    moved = differences(topics, RabbitMQSettings())
    assert {each.topic for each in moved} == {"bitrix24", "send_telegram", "op"}
    written(tmp_path, as_toml(topics, moved, RabbitMQSettings()), "carex.toml")
    settings = load(tmp_path, None, {}, {}).rabbitmq
    assert differences({**topics, "bitrix_new": "bitrix24", "other": "default"}, settings) == []


def test_topics_that_stay_need_no_routes() -> None:
    assert as_toml({"send_email": "python-services"}, [], RabbitMQSettings()) == ""


def test_what_started_the_old_programs_is_found_with_the_command_that_stops_it(tmp_path: Path) -> None:
    written(tmp_path, "", "camunda-worker.service")
    (tmp_path / "conf.d").mkdir()
    written(tmp_path / "conf.d", "", "company_worker.conf")
    assert [each.stop for each in find_units(tmp_path, tmp_path / "none")] == [
        "sudo systemctl disable --now camunda-worker"
    ]
    (program,) = find_programs(tmp_path, [tmp_path / "conf.d"])
    assert program.stop.startswith("sudo supervisorctl stop company_worker && sudo rm ")


def test_a_message_of_the_old_worker_is_a_task_although_its_values_have_no_types() -> None:
    body = {
        "task_id": "t1",
        "topic": "op_create_project",
        "system": "openproject",
        "variables": {"name": "A", "n": 5, "map": {"a": 1}, "typed": {"value": 7, "type": "Integer"}},
        "worker_id": "universal-worker",
        "retries": None,
    }
    task = to_task(Incoming("openproject.queue", json.dumps(body).encode()))
    assert task.payload == {"name": "A", "n": 5, "map": {"a": 1}, "typed": 7}
