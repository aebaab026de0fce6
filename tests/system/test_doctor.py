"""`carex doctor`: what is broken is named, with what to do about it, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from carex.queue import Queue
from carex.task import Fail, Task

if TYPE_CHECKING:
    from conftest import Installation, SimulatedPortal

    from tools.servers import RedisServer

    StartRedis = Callable[..., RedisServer]

SECRET = "s3cr3t0word"


@pytest.fixture(autouse=True)
def only_the_shipped_plugins(installation: Installation) -> None:
    """Among those of the other tests one is broken. And somebody may use the port of the default."""
    installation.env |= {"PYTHONPATH": "", "CAREX_SERVER__PORT": "0"}


def diagnose(installation: Installation, *areas: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code and the lines, after a look at what must hold for every answer."""
    ended = installation.run("doctor", "--json", *(f"--only={area}" for area in areas))
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["schema"] == "carex.doctor/1"
    assert [line for line in found["lines"] if line["level"] in ("warning", "wrong") and not line["fix"]] == []
    return ended.returncode, found["lines"]


def troubles(lines: list[dict[str, str]]) -> str:
    return "\n".join(f"{each['area']}: {each['text']} → {each['fix']}" for each in lines if each["fix"])


def test_a_new_home_is_well_and_what_is_not_set_up_is_no_trouble(installation: Installation) -> None:
    installation.run("init")

    ended = installation.run("doctor")

    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("All is well: ")
    assert "camunda\n  -  not used: CAMUNDA_BASE_URL is not set" in ended.stdout


def test_it_leaves_a_home_as_it_found_it(installation: Installation) -> None:
    installation.run("init")
    before = contents(installation.home)

    installation.run("doctor")

    assert contents(installation.home) == before


def contents(home: Path) -> dict[str, bytes]:
    return {str(each.relative_to(home)): each.read_bytes() for each in home.rglob("*") if each.is_file()}


def write(name: str, text: str, mode: int = 0o600) -> Callable[[Installation], None]:
    def act(installation: Installation) -> None:
        (installation.home / name).write_text(text)
        (installation.home / name).chmod(mode)

    return act


def damage(installation: Installation) -> None:
    file = installation.home / "data" / "queue.db"
    file.write_bytes(b"no database at all, but long enough to be read" * 100)


def newer(installation: Installation) -> None:
    import sqlite3

    connection = sqlite3.connect(installation.home / "data" / "people.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()


def failed(installation: Installation) -> None:
    async def act(queue: Queue) -> None:
        await queue.put([Task("bitrix_assign", {})])
        await queue.settle([(each, Fail("no")) for each in await queue.claim(["*"], 1)])

    installation.with_queue(act)


BROKEN: dict[str, tuple[Callable[[Installation], Any], int, str, str]] = {
    "an unknown setting": (write("carex.toml", "[server]\nprot = 1"), 3, "server.prot", "carex.toml"),
    "no TOML": (write("carex.toml", "[server"), 3, "not valid TOML", "Correct it"),
    "a line of .env": (write(".env", "what is this"), 3, ".env:1", "Correct it"),
    "a value": (write("carex.toml", "[queue]\nlease = 'x'"), 3, "queue.lease", "Correct it"),
    "a plugin's setting": (write("carex.toml", "[plugins.bitrix24]\nwebhok = 1"), 3, "webhok", "webhook"),
    "an unknown plugin": (write("carex.toml", "[plugins.bitrix]\nx = 1"), 3, "no plugin bitrix", "Correct it"),
    "an unknown queue": (write("carex.toml", "[queue]\nurl = 'mysql://x'"), 1, "queue.url is not", "redis://"),
    "an open server": (write(".env", "CAREX_SERVER__HOST=0.0.0.0"), 3, "open to other machines", "TOKEN"),
    "an open intake": (write("carex.toml", "[server]\nopen_intake = true"), 0, "open_intake", "/in/TOKEN"),
    "a short token": (write(".env", "CAREX_SERVER__ADMIN_TOKEN=abc123"), 0, "admin_token is short", "secrets"),
    "a readable .env": (write(".env", f"CAREX_SERVER__ADMIN_TOKEN={SECRET * 3}", 0o644), 3, "read by others", "600"),
    "a readable secret": (
        write("carex.toml", f"[plugins.bitrix24]\nwebhook = 'http://127.0.0.1:1/rest/1/{SECRET}/'", 0o644),
        3,
        "plugins.bitrix24.webhook",
        "chmod 600",
    ),
    "an unknown strategy": (write("carex.toml", "[people]\nstrategy = 'luck'"), 3, "luck", "people"),
    "an unknown source": (write("carex.toml", "[people]\nsources = ['stars']"), 3, "stars", "people"),
    "a schedule": (write("carex.toml", "[people]\nschedule = 'sometimes'"), 3, "sometimes", "mon-fri"),
    "a module of handlers": (write("carex.toml", "handlers = ['nowhere:plugin']"), 3, "nowhere", "handlers"),
    "a damaged queue": (damage, 1, "queue.db", "restore a backup"),
    "a newer schema": (newer, 1, "newer Carex", "Upgrade"),
    "open data": (lambda home: (home.home / "data").chmod(0o755), 0, "open to others", "chmod 700"),
    "an open database": (lambda home: (home.home / "data/queue.db").chmod(0o644), 0, "open to others", "chmod 600"),
    "no worker": (lambda home: home.put(Task("bitrix_assign", {})), 1, "no worker runs", "carex worker"),
    "no handler": (lambda home: home.put(Task("bitrix_dance", {})), 1, "bitrix_dance", "Install the plugin"),
    "failed tasks": (failed, 0, "wait for a person: 1", "carex errors"),
    "nobody to work": (
        lambda home: [home.employ(1), home.run("users", "exclude", "1")],
        0,
        "0 of 1 employees",
        "people.fallback",
    ),
    "no portal": (write(".env", f"WEBHOOK_CAREX=http://127.0.0.1:1/rest/1/{SECRET}/"), 1, "no connection", "WEBHOOK"),
    "no engine": (write(".env", f"CAMUNDA_BASE_URL=http://u:{SECRET}@127.0.0.1:1/e"), 1, "refused", "CAMUNDA_BASE_URL"),
    "no broker": (write(".env", f"RABBITMQ_PORT=1\nRABBITMQ_PASSWORD={SECRET}"), 1, "RabbitMQ at localhost:1", "port"),
    "no Redis": (write(".env", f"REDIS_URL=redis://:{SECRET}@127.0.0.1:1/0"), 1, "cannot be reached", "See"),
    "no mail server": (
        write("carex.toml", "[plugins.services]\nsmtp_host = '127.0.0.1'\nsmtp_port = 1\nmail_from = 'a@example.com'"),
        1,
        "127.0.0.1:1",
        "smtp_host",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named_with_its_fix(case: str, installation: Installation) -> None:
    act, code, says, fix = BROKEN[case]
    installation.run("init")
    act(installation)

    ended, lines = diagnose(installation)

    named = [line for line in lines if says in line["text"] and fix in line["text"] + line["fix"]]
    assert [line for line in named if line["fix"]], troubles(lines)
    assert ended == code, troubles(lines)


def test_a_broken_plugin_is_an_area_of_its_own(installation: Installation) -> None:
    del installation.env["PYTHONPATH"]

    code, lines = diagnose(installation, "wreck")

    assert [(line["area"], line["level"]) for line in lines] == [("wreck", "wrong")]
    assert code == 1


def test_only_the_asked_areas_are_looked_at(installation: Installation) -> None:
    _, lines = diagnose(installation, "queue", "bitrix24")

    assert {line["area"] for line in lines} == {"queue", "bitrix24"}


def test_an_area_that_does_not_exist_is_refused_with_those_that_do(installation: Installation) -> None:
    ended = installation.run("doctor", "--only", "quue")

    assert ended.returncode == 2
    assert "settings, home, queue" in ended.stderr


def test_a_portal_is_asked_for_its_owner_and_its_scopes(
    installation: Installation, portal: Callable[..., SimulatedPortal]
) -> None:
    portal()

    code, lines = diagnose(installation, "bitrix24")

    assert (code, troubles(lines)) == (0, "")
    assert [line["text"] for line in lines if "accepts the webhook of" in line["text"]]


UNFIT = {
    "no append-only file": (["--appendonly", "no"], "keeps no append-only file", "appendonly yes"),
    "it evicts": (["--maxmemory-policy", "allkeys-lru"], "deletes tasks", "noeviction"),
    "no password": (["--requirepass", "x"], "refuses the login", "USER:PASSWORD"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_redis_that_would_lose_tasks_is_named(case: str, installation: Installation, start_redis: StartRedis) -> None:
    options, says, fix = UNFIT[case]
    installation.move_to(start_redis(*options).url)
    (installation.home / ".env").chmod(0o600)

    code, lines = diagnose(installation, "queue")

    assert code == 1
    assert says in troubles(lines)
    assert fix in troubles(lines)


def test_a_good_redis_is_left_as_it_was(installation: Installation, start_redis: StartRedis) -> None:
    redis = start_redis()
    installation.move_to(redis.url)

    code, lines = diagnose(installation, "queue")

    assert (code, troubles(lines)) == (0, "")
    assert redis.ask("DBSIZE") == 0
    assert "appendfsync everysec" in str(lines)


def connect(installation: Installation, broker: Any, **more: str) -> None:
    installation.env |= {
        "RABBITMQ_HOST": broker.host,
        "RABBITMQ_PORT": str(broker.port),
        "CAREX_RABBITMQ__VHOST": broker.vhost,
        "CAREX_RABBITMQ__MANAGEMENT_URL": broker.management_url,
        **more,
    }


def test_what_a_user_may_not_do_and_nobody_reads_is_named(
    installation: Installation, broker: Any, shared_broker: Any
) -> None:
    """`secret` may only log in; guest has declared everything, and left a message."""
    import pika

    installation.env["CAREX_RABBITMQ__CONSUME"] = "1c.queue"
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        for exchange in ("camunda.external.tasks", "camunda.task.responses"):
            channel.exchange_declare(exchange, "topic", durable=True)
        for queue in ("1c.queue", "camunda.responses.queue", "camunda.responses.dead"):
            channel.queue_declare(queue, durable=True, arguments={"x-max-length": 9} if queue == "1c.queue" else None)
        channel.basic_publish("", "1c.queue", b"{}")
        connect(installation, broker)
        _, lines = diagnose(installation, "rabbitmq")
        shared_broker.control("add_user", "reader", SECRET)
        shared_broker.control("set_permissions", "-p", broker.vhost, "reader", "", "", "")
        connect(installation, broker, RABBITMQ_USERNAME="reader", RABBITMQ_PASSWORD=SECRET)
        code, of_reader = diagnose(installation, "rabbitmq")
        left = channel.queue_declare("1c.queue", passive=True).method.message_count

    assert "1c.queue has 1 messages, and nobody reads it → carex worker" in troubles(lines)
    assert "x-max-length is 9" in troubles(lines)
    assert "guest may read the queue 1c.queue, write to the exchange camunda.task.responses" in str(lines)
    assert "reader may not read the queue 1c.queue" in troubles(of_reader)
    assert "reader may not write to the exchange camunda.task.responses" in troubles(of_reader)
    assert (code, left) == (1, 1)


def test_an_engine_that_shows_nothing_for_lack_of_rights_is_named(
    installation: Installation, start_engine: Callable[..., Any]
) -> None:
    engine = start_engine("operaton", auth=True)
    user = {"profile": {"id": "bridge"}, "credentials": {"password": SECRET}}
    engine.call("POST", "/user/create", user)
    installation.env |= {"CAMUNDA_BASE_URL": engine.url, "CAMUNDA_AUTH_USERNAME": "bridge"}
    installation.env["CAMUNDA_AUTH_PASSWORD"] = SECRET

    code, lines = diagnose(installation, "camunda")
    rights = ["READ", "UPDATE", "READ_INSTANCE", "UPDATE_INSTANCE"]
    grant = {"type": 1, "permissions": rights, "userId": "bridge", "resourceType": 6, "resourceId": "*"}
    engine.call("POST", "/authorization/create", grant)
    then, of_granted = diagnose(installation, "camunda")

    assert "lacks READ_INSTANCE and UPDATE_INSTANCE" in troubles(lines)
    assert (code, then, troubles(of_granted)) == (1, 0, "")
    assert "Operaton 1." in str(of_granted)


def test_an_alarm_of_rabbitmq_is_named(installation: Installation, start_broker: Callable[[], Any]) -> None:
    broker = start_broker()
    connect(installation, broker.default)
    broker.alarm(True)

    code, lines = diagnose(installation, "rabbitmq")

    assert "takes no messages: low on disk" in troubles(lines)
    assert code == 1


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
def test_a_lock_that_nobody_would_set_and_a_topic_nobody_handles_are_named(
    installation: Installation, clean_engine: Any
) -> None:
    model = """<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t"
      xmlns:camunda="http://camunda.org/schema/1.0/bpmn"><process id="p" isExecutable="true"
      camunda:historyTimeToLive="1"><startEvent id="s"/><sequenceFlow id="f" sourceRef="s" targetRef="w"/>
      <serviceTask id="w" camunda:type="external" camunda:topic="bitrix_dance"/></process></definitions>"""
    clean_engine.deploy(model)
    clean_engine.call("POST", "/process-definition/key/p/start", {})
    topics = [{"topicName": "bitrix_dance", "lockDuration": 36_000_000}]
    (task,) = clean_engine.call(
        "POST", "/external-task/fetchAndLock", {"workerId": "w", "maxTasks": 1, "topics": topics}
    )
    installation.env |= {"CAMUNDA_BASE_URL": clean_engine.url, "CAREX_RABBITMQ__CONSUME": "bitrix24.queue"}

    code, lines = diagnose(installation, "camunda")

    assert f"{task['id']} (bitrix_dance) is locked by w for another 10.0 h: forgotten?" in troubles(lines)
    assert f"carex camunda unlock {task['id']}" in troubles(lines)
    assert "no plugin has a handler for them: bitrix_dance" in troubles(lines)
    assert code == 1
