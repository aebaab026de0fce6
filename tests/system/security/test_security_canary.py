"""Every setting that can hold a secret holds a unique one. Then everything goes wrong, and nobody may see any."""

from __future__ import annotations

import asyncio
import html
import json
import socket
import ssl
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
import trustme
from pydantic import Field, SecretStr

from carex.settings import Section
from carex.task import Task
from tests.system.security.canaries import RICH, canaries, find, marker, models, secret_settings
from tests.system.security.hostile import FAULTS, hostile

if TYPE_CHECKING:
    from tests.system.conftest import Installation
    from tests.system.security.conftest import Aviary
    from tests.system.security.hostile import Hostile

    Make = Callable[..., tuple[Aviary, Hostile]]

# -------------------------------------------------------------------------------------------------- the checker


def test_every_setting_that_can_hold_a_secret_has_a_canary() -> None:
    assert set(canaries("host:1")) == secret_settings(models())


class New(Section):
    """A section that somebody adds."""

    port: int = 1
    password: dict[str, SecretStr] | None = None
    url: str = Field("", repr=False)


def test_a_new_secret_setting_would_be_noticed() -> None:
    assert secret_settings({**models(), "new": New}) - set(canaries("host:1")) == {"new.password", "new.url"}


SECRET = marker("rabbitmq.password") + RICH


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps({"a": SECRET}),
        repr(SECRET),
        html.escape(SECRET),
        b64encode(SECRET.encode()).decode(),
        b64encode(f"u:{SECRET}".encode()).decode(),
        b64encode(f"us:{SECRET}".encode()).decode(),
        urlsafe_b64encode(f"\0user\0{SECRET}".encode()).decode(),
        SECRET.encode().hex(),
        SECRET.upper(),
    ],
)
def test_the_checker_finds_a_secret_however_it_is_written(written: str) -> None:
    assert [each.partition(",")[0] for each in find(f"before {written} after".encode())] == ["rabbitmq.password"]


def test_the_checker_finds_what_is_leaked_on_purpose(leaking: Aviary) -> None:
    leaking.home.put(Task("nobody", {"note": f"Basic {b64encode(f'a:{SECRET}'.encode()).decode()}"}))
    leaking.run("tasks", "list", "--json")
    (leaking.home.home / "logs").mkdir()
    (leaking.home.home / "logs" / "any.log").write_text(f"line\n{quote(SECRET)}")
    leaking.run("tasks", "show", leaking.home.entries()[0].task.id)
    assert {"logs/any.log", f"tasks show {leaking.home.entries()[0].task.id}"} <= leaking.escaped().keys()
    assert any(name.startswith("data/queue.db") for name in leaking.escaped())


# ------------------------------------------------------------------------------------ systems that do their worst

WORK = [
    Task("bitrix_assign", {"deal_id": 1}, id="a"),
    Task("bitrix_create_task", {"title": "t", "responsible_id": 1}, id="b"),
    Task("op_create_project", {"name": "p"}, id="c"),
    Task("1c_sync_data", {"data": {"Code": "1"}, "entity": "Catalog_X", "match_by": "Code"}, id="d"),
    Task("1c_get", {"entity": "Catalog_X"}, id="e"),
    Task("send_email", {"to": "a@example.com", "subject": "s", "text": "t"}, id="f"),
]
SLOW = {
    "CAREX_PLUGINS__BITRIX24__TIMEOUT": "1",
    "CAREX_PLUGINS__ONEC__TIMEOUT": "1",
    "CAREX_PLUGINS__OPENPROJECT__TIMEOUT": "1",
    "CAREX_PLUGINS__SERVICES__HTTP_TIMEOUT": "1",
}


def work_of(host: str) -> list[Task]:
    asked = Task("http_request", {"url": f"http://{host}/x", "expect": [200, 401, 404, 500, 302]}, id="g")
    return [*WORK, asked, Task("http_request", {"url": f"http://{host}/y"}, id="h")]


@pytest.mark.parametrize("fault", [*FAULTS, "refused", "tls", "dns"])
def test_no_system_however_hostile_gets_a_secret_out(aviary: Make, fault: str) -> None:
    made, server = aviary(fault, **SLOW)
    host = {"refused": "127.0.0.1:1", "dns": "nowhere.invalid:80"}.get(fault, server.host)
    swap = ("http://" + server.host, ("https://" if fault == "tls" else "http://") + host)
    made.home.env.update({name: value.replace(*swap) for name, value in made.home.env.items()})
    made.home.employ(2)
    made.home.put(*work_of(host))
    more = [("queues",), ("camunda", "processes"), ("users", "sync")] if fault in ("401", "redirect", "error") else []
    made.run_all(("worker", "--burst"), ("doctor", "--json"), *more, seconds=6 if fault in ("hang", "429") else 60)
    made.run("tasks", "show", "g")
    assert made.escaped() == {}
    assert fault in ("refused", "tls", "dns") or server.asked > 5


@pytest.mark.parametrize(
    ("how", "fault"),
    [("password", "401"), ("password", "hang"), ("password", "garbage"), ("token", "401"), ("address", "redirect")],
)
def test_the_bridge_keeps_what_it_shows_the_engine(aviary: Make, fault: str, how: str) -> None:
    made, server = aviary(fault)
    given = canaries(server.host)
    if how != "password":
        del made.home.env["CAMUNDA_AUTH_USERNAME"]
    if how == "token":
        made.home.env["CAREX_CAMUNDA__AUTH_TOKEN"] = given["camunda.auth_token"]
    if how == "address":
        made.home.env["CAMUNDA_BASE_URL"] = given["camunda.base_url"]
    made.run_all(("camunda", "bridge"), ("--debug", "camunda", "tasks"), seconds=5)
    assert made.escaped() == {}
    assert server.asked


@pytest.mark.parametrize("security", ["tls", "untrusted"])
def test_the_mail_server_repeats_the_password_and_nobody_else_does(aviary: Make, tmp_path: Path, security: str) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    made, _ = aviary()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with hostile("mail", context) as server:
        made.home.env |= {
            "CAREX_PLUGINS__SERVICES__SMTP_HOST": "127.0.0.1",
            "CAREX_PLUGINS__SERVICES__SMTP_PORT": server.host.partition(":")[2],
            "CAREX_PLUGINS__SERVICES__SMTP_SECURITY": "tls",
        }
        if security == "tls":
            made.home.env["CAREX_PLUGINS__SERVICES__CA_FILE"] = str(tmp_path / "ca.pem")
        made.home.put(WORK[-1])
        made.run("worker", "--burst")
        assert ("5.7.8" if security == "tls" else "TLS") in made.run("tasks", "show", "f")
    assert made.escaped() == {}


# ------------------------------------------------------------------------------------------- handlers that tell all

WAYS = ["raise", "chain", "fail", "wait", "bpmn", "return", "log", "task", "thread", "unraisable", "loop", "exit"]


def test_what_handlers_tell_is_stored_and_shown_without_the_secret(leaking: Aviary) -> None:
    leaking.home.put(*(Task("leaky", {"how": how}, id=how) for how in WAYS))
    leaking.run("worker", "--burst")
    leaking.run_all(("tasks", "list", "--json"), ("errors", "list", "--json"), ("tasks", "show", "return"))
    log = (leaking.home.home / "logs" / "company_debug.log").read_text()
    assert leaking.escaped() == {}
    assert len(leaking.home.entries("done", "failed", "waiting")) == len(WAYS)
    assert all(each in log for each in ("in a task", "in a thread", "at the end", "deprecated", "***"))


@pytest.mark.parametrize("how", ["raise", "chain", "return", "kill"])
def test_a_handler_that_is_tried_out_tells_the_terminal_no_secret(leaking: Aviary, how: str) -> None:
    leaking.run("--debug", "handlers", "run", "leaky", f"how={how}", "--json")
    assert leaking.escaped() == {}


def test_a_process_that_dies_tells_nothing(leaking: Aviary) -> None:
    leaking.home.env |= {"PYTHONFAULTHANDLER": "1", "CAREX_QUEUE__LEASE": "1"}
    leaking.home.put(Task("leaky", {"how": "kill"}, id="k"))
    leaking.run("worker", "--processes", "2", seconds=6)
    leaking.run("tasks", "show", "k")
    assert leaking.escaped() == {}
    assert b"Segmentation fault" in leaking.said["worker --processes 2"]


def test_no_command_line_has_a_secret(leaking: Aviary, eventually: Callable[..., Any]) -> None:
    leaking.home.start("worker", "--processes", "2")
    leaking.home.start("serve", "--port", "0", "--with-worker")
    eventually(lambda: leaking.command_lines().count(b"--supervised") >= 3)
    leaking.hear("ps", leaking.command_lines())
    assert leaking.escaped() == {}


# -------------------------------------------------------------------------------------------------------- settings


def test_settings_are_shown_and_checked_without_secrets(leaking: Aviary) -> None:
    shown = leaking.run("config", "show", "--origin", code=0)
    leaking.run_all(
        ("config", "show", "--json"), ("config", "check"), ("handlers", "show", "leaky"), ("status", "--json")
    )
    assert all(key in shown for key in canaries("h") if "leaky" not in key)
    assert "***" in shown
    assert leaking.escaped() == {}


WRONG_PLACES = {
    "CAREX_SERVER__PORT": (marker("server.admin_token"), "serve"),
    "CAREX_SERVER__OPEN_INTAKE": (marker("server.intake_token"), "serve"),
    "LOG_LEVEL": (marker("camunda.auth_password"), "status"),
    "CAREX_PEOPLE__POOLS": (marker("plugins.onec.password"), "status"),
    "CAREX_RABBITMQ__ROUTES": (marker("rabbitmq.password"), "queues"),
    "CAREX_PLUGINS__BITRIX24__WEBHOOK": (f"portal.example.com/rest/1/{marker('plugins.bitrix24.webhook')}", "doctor"),
    "CAMUNDA_BASE_URL": (f"engine.example.com:{marker('camunda.base_url')}@host/engine-rest", "doctor"),
    "REDIS_URL": (f"rediss//:{marker('queue.url')}@host:6379", "status"),
    "RABBITMQ_HOST": (f"amqp://guest:{marker('rabbitmq.password')}@host:5672", "queues"),
    "CAREX_SERVER__HOST": (f"https://user:{marker('server.admin_token')}@host", "serve"),
    "CAREX_PLUGINS__SERVICES__HTTP_HEADERS": (f"Authorization: {marker('plugins.services.http_headers')}", "doctor"),
    "CAREX_RABBITMQ__MANAGEMENT_URL": (f"http:/guest:{marker('rabbitmq.management_url')}@host", "queues"),
}


@pytest.mark.parametrize("variable", WRONG_PLACES)
def test_a_secret_in_the_wrong_place_is_not_repeated(leaking: Aviary, variable: str) -> None:
    leaking.home.env[variable], command = WRONG_PLACES[variable]
    leaking.run_all(("config", "check"), ("--debug", command), seconds=8)
    assert leaking.escaped() == {}


@pytest.mark.parametrize(
    "text",
    [
        '[rabbitmq]\npasword = "SECRET"\n',
        "[server]\nadmin_token = SECRET\n",
        '[server]\nadmin_token = "SECRET\n',
        'admin_token = "SECRET"\n',
        '[server]\nport = "SECRET"\n',
        '[plugins.onec]\npassword = ["SECRET"]\n',
        '[plugins.nobody]\nkey = "SECRET"\n',
        'plugins = "SECRET"\n',
    ],
)
def test_a_slip_beside_a_secret_is_named_without_it(leaking: Aviary, text: str) -> None:
    leaking.home.env = {"PYTHONPATH": leaking.home.env["PYTHONPATH"]}
    (leaking.home.home / "carex.toml").write_text(text.replace("SECRET", SECRET.replace("\\", "").replace('"', "")))
    leaking.run_all(("config", "check"), ("--debug", "config", "show", "--origin"))
    assert leaking.escaped() == {}


def test_secrets_from_dotenv_are_hidden_as_well(leaking: Aviary) -> None:
    env, leaking.home.env = leaking.home.env, {"PYTHONPATH": leaking.home.env["PYTHONPATH"]}
    lines = [f"{name}='{value}'" for name, value in env.items() if "'" not in value and name != "PYTHONPATH"]
    (leaking.home.home / ".env").write_text("\n".join(lines) + "\nthis line = 'is broken\n")
    leaking.run_all(("config", "check"), ("--debug", "doctor"))
    (leaking.home.home / ".env").write_text("\n".join(lines) + "\n")
    leaking.run_all(("config", "show", "--origin"), ("doctor",), ("init", "--force"))
    (leaking.home.home / ".env.old").unlink()
    assert leaking.escaped() == {}


# -------------------------------------------------------------------------------------------------------- the server


def test_the_server_tells_no_caller_and_no_log_a_secret(leaking: Aviary) -> None:
    intake, admin = marker("server.intake_token"), marker("server.admin_token") + RICH
    token = marker("plugins.bitrix24.application_token") + RICH
    bearer = {"Authorization": f"Bearer {admin}".encode()}
    far = {"X-Forwarded-For": "203.0.113.9"}
    event = {"event": "ONCRMDEALADD", "data[FIELDS][ID]": "7", "auth[application_token]": token}
    _, url = leaking.home.serve()
    with httpx.Client(base_url=url, headers=far) as http:
        answers = [
            http.post(f"/in/{intake}/CarexRandom?deal_id=1"),
            http.post(f"/in/{intake}/CarexRandom?deal_id=x&token={intake}"),
            http.post(f"/in/{intake}/tasks/nothing", json={}),
            http.post(f"/in/{intake}/Leak"),
            http.get(f"/in/{intake}/metrics"),
            http.post(f"/in/{intake}/Bitrix24Event", data=event),
            http.post(f"/in/{intake}/Bitrix24Event", data={**event, "event": "NO"}),
            http.post(f"/in/{intake}x/Bitrix24Event", data=event),
            *(
                http.get(path, headers=bearer)
                for path in ("/metrics", "/docs", "/openapi.json", "/ready", f"/{intake}")
            ),
            http.get(f"/metrics?token={quote(admin)}"),
            http.get("/metrics", headers={"Authorization": f"Bearer {admin}x".encode()}),
            http.post("/errors/retry", headers=bearer, content=b"{" + admin.encode()),
        ]
    host, _, port = url.rpartition("//")[2].partition(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(f"GET /in/{intake} \x01 HTTP/9\r\n\r\n".encode())
        leaking.hear("not HTTP", line.recv(10000))
    for number, answer in enumerate(answers):
        leaking.hear(f"answer {number}", f"{answer.status_code} {answer.headers}".encode() + answer.content)
    assert [each.status_code for each in answers[:8]] == [202, 422, 404, 500, 403, 202, 422, 401]
    assert leaking.escaped() == {}


# ------------------------------------------------------------------------------------------------- Redis and RabbitMQ


@pytest.mark.parametrize("fault", ["refused", "denied", "dns"])
def test_a_queue_that_is_out_of_reach_costs_no_password(aviary: Make, fault: str) -> None:
    made, server = aviary()
    host = {"refused": "127.0.0.1:1", "dns": "nowhere.invalid:6379", "denied": server.host}[fault]
    made.home.env["REDIS_URL"] = canaries(host)["queue.url"]
    made.run_all(("serve", "--port", "0"), ("worker", "--burst"), ("--debug", "tasks", "list"), ("status",), seconds=5)
    assert made.escaped() == {}


def test_what_lies_in_redis_and_on_its_disk_has_no_secret(
    aviary: Make, start_redis: Callable[..., Any], installation: Installation
) -> None:
    password = marker("queue.url")
    redis = start_redis("--appendonly", "yes")
    made, _ = aviary()
    asyncio.run(_with_password(redis.url, password))
    made.home.queue_url = made.home.env["REDIS_URL"] = redis.url.replace("redis://", f"redis://:{password}@")
    made.home.put(*(Task("leaky", {"how": how}, id=how) for how in WAYS))
    made.run_all(("worker", "--burst"), ("doctor", "--only", "tasks"))
    made.run_all(("tasks", "list", "--json"), ("errors", "list"))
    made.hear("what Redis holds", asyncio.run(_everything(made.home.queue_url)))
    assert made.escaped() == {}
    assert b"at the end" not in made.said["what Redis holds"]
    assert b"***" in made.said["what Redis holds"]


async def _with_password(url: str, password: str) -> None:
    import redis.asyncio

    async with redis.asyncio.from_url(url) as client:
        await client.config_set("requirepass", password)


async def _everything(url: str) -> bytes:
    """Every key and value; what Redis has on its disk is these, and its own password is nobody's business there."""
    import redis.asyncio

    found = b""
    async with redis.asyncio.from_url(url) as client:
        for key in await client.keys("*"):
            read = {b"hash": client.hgetall, b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
                    b"list": lambda name: client.lrange(name, 0, -1), b"set": client.smembers}  # fmt: skip
            found += key + repr(await read.get(await client.type(key), client.get)(key)).encode()
    return found


def test_what_goes_through_rabbitmq_has_no_secret(aviary: Make, broker: Any) -> None:
    import pika

    made, _ = aviary()
    made.home.env |= {
        "RABBITMQ_HOST": broker.host,
        "RABBITMQ_PORT": str(broker.port),
        "CAREX_RABBITMQ__PASSWORD": broker.password,
        "CAREX_RABBITMQ__VHOST": broker.vhost,
    }
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    queues = ("leaky.queue", "camunda.responses.queue", "camunda.responses.dead")
    for queue in queues:
        channel.queue_declare(queue, durable=True)
    bodies = [json.dumps({"task_id": how, "topic": "leaky", "variables": {"how": {"value": how}}}) for how in WAYS]
    for body in [*bodies, "no task"]:
        channel.basic_publish("", queues[0], body.encode(), pika.BasicProperties(reply_to=queues[1]))
    made.run("worker", "--consume", queues[0], seconds=6)
    answers = [channel.basic_get(queue, auto_ack=True) for queue in queues[1:] for _ in range(len(WAYS))]
    connection.close()
    got = [each for each in answers if each[0]]
    made.hear("the messages", repr(got))
    made.home.env["CAREX_RABBITMQ__PASSWORD"] = SECRET
    made.run_all(("queues",), ("--debug", "worker", "--consume", queues[0]), ("doctor",), seconds=6)
    assert made.escaped() == {}
    assert len(got) == len(WAYS) + 1
