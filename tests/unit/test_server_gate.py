"""Who may call what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from carex.errors import ConfigError
from carex.plugin import Plugin
from carex.server import check_bind
from carex.server.gate import Gate
from carex.settings import Settings, load
from carex.task import Task

STRANGER = "203.0.113.9"
TOKENS = {"intake_token": "in-токен", "admin_token": "admin-токен"}
ADMIN = {"Authorization": "Bearer admin-токен".encode()}


PLUGIN = Plugin("greeter")
PLUGIN.webhook("/Greet", may_be_open=True)(lambda call: Task("greet"))
PLUGIN.webhook("/Hush")(lambda call: Task("greet"))
WEBHOOKS = PLUGIN.webhooks


def settings_of(home: Path, **server: Any) -> Settings:
    return load(home, None, {f"server.{key}": value for key, value in server.items()}, environ={})


async def path_of(scope: Scope, receive: Receive, send: Send) -> None:
    """What is behind the gate: it says under which path a request came through."""
    await PlainTextResponse(scope["path"])(scope, receive, send)


def ask(
    home: Path, method: str, url: str, headers: Any = None, *, caller: str = "127.0.0.1", **server: Any
) -> httpx.Response:
    async def scenario() -> httpx.Response:
        gate = Gate(path_of, settings_of(home, **server), WEBHOOKS)
        transport = httpx.ASGITransport(gate, client=(caller, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.request(method, url, headers=headers)

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "url", "headers", "status"),
    [
        ("GET", "/health", {}, 200),
        ("POST", "/Greet", {}, 401),
        ("POST", "/tasks/greet", {}, 401),
        ("GET", "/metrics", {}, 401),
        ("GET", "/nowhere", {}, 401),
        ("POST", "/in/in-токен/Greet", {}, 200),
        ("POST", "/in/in-токен/tasks/greet", {}, 200),
        ("POST", "/in/in-токен/nowhere", {}, 403),
        ("GET", "/in/in-токен/metrics", {}, 403),
        ("GET", "/in/in-токен/tasks/1", {}, 403),
        ("GET", "/in/in-токен/retry-errors", {}, 403),
        ("POST", "/in/in-токен/errors/retry", {}, 403),
        ("POST", "/in/in-токен", {}, 403),
        ("POST", "/in/admin-токен/Greet", {}, 401),
        ("POST", "/in/wrong/Greet", {}, 401),
        ("POST", "/in/%FF/Greet", ADMIN, 401),
        ("POST", "/in//Greet", {}, 401),
        ("GET", "/metrics", ADMIN, 200),
        ("POST", "/Greet", ADMIN, 200),
        ("GET", "/metrics", {"Authorization": "Bearer é".encode()}, 401),
        ("GET", "/metrics", {"Authorization": b"Bearer \xff"}, 401),
        ("GET", "/metrics", {"Authorization": "Bearer in-токен".encode()}, 401),
        ("GET", "/metrics", {"Authorization": "Basic admin-токен".encode()}, 401),
    ],
)
@pytest.mark.parametrize(
    ("caller", "proxy"),
    [(STRANGER, {}), ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}), ("127.0.0.1", {"Forwarded": "for=127.0.0.1"})],
)
def test_a_stranger_needs_the_right_token(
    tmp_path: Path, caller: str, proxy: Any, method: str, url: str, headers: Any, status: int
) -> None:
    answer = ask(tmp_path, method, url, {**headers, **proxy}, caller=caller, **TOKENS)
    assert answer.status_code == status
    assert "токен" not in answer.text


def test_without_tokens_a_stranger_gets_nowhere(tmp_path: Path) -> None:
    answers = [ask(tmp_path, "POST", url, ADMIN, caller=STRANGER) for url in ("/Greet", "/in//Greet", "/in/None/Greet")]
    assert [each.status_code for each in answers] == [401, 401, 401]


def test_a_wrong_token_does_not_tell_which_paths_there_are(tmp_path: Path) -> None:
    known, unknown = (ask(tmp_path, "POST", f"/in/wrong/{path}", **TOKENS) for path in ("Greet", "nowhere"))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


@pytest.mark.parametrize("caller", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_needs_no_token(tmp_path: Path, caller: str) -> None:
    assert ask(tmp_path, "GET", "/metrics", caller=caller, **TOKENS).status_code == 200


def test_a_wrong_token_is_wrong_from_this_machine_too(tmp_path: Path) -> None:
    assert ask(tmp_path, "GET", "/metrics", {"Authorization": "Bearer x"}, **TOKENS).status_code == 401


@pytest.mark.parametrize(("url", "status"), [("/Greet", 200), ("/Hush", 401), ("/tasks/greet", 401), ("/metrics", 401)])
def test_open_intake_opens_the_old_callers_webhooks_and_nothing_else(tmp_path: Path, url: str, status: int) -> None:
    assert ask(tmp_path, "POST", url, caller=STRANGER, open_intake=True, **TOKENS).status_code == status


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [("POST", "/Greet", 403), ("GET", "/retry-errors", 403), ("GET", "/docs", 200), ("GET", "/health", 200)],
)
def test_another_sites_page_cannot_make_anything_happen(tmp_path: Path, method: str, url: str, status: int) -> None:
    assert ask(tmp_path, method, url, {"Sec-Fetch-Site": "cross-site"}).status_code == status


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "carex.example", ""])
@pytest.mark.parametrize("missing", ["intake_token", "admin_token"])
def test_listening_to_others_needs_both_tokens(tmp_path: Path, host: str, missing: str) -> None:
    check_bind(settings_of(tmp_path, host=host, **TOKENS))
    with pytest.raises(ConfigError, match=missing):
        check_bind(settings_of(tmp_path, host=host, **{**TOKENS, missing: None}))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_listening_to_this_machine_needs_no_token(tmp_path: Path, host: str) -> None:
    check_bind(settings_of(tmp_path, host=host))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 401),
        ("evil.example:8000", 401),
        ("localhost.evil.example", 401),
    ],
)
def test_a_page_whose_name_was_made_to_point_here_is_no_friend(tmp_path: Path, host: str, status: int) -> None:
    assert ask(tmp_path, "GET", "/metrics", {"Host": host}, **TOKENS).status_code == status


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via", "Forwarded"]
)
def test_what_came_through_a_proxy_is_never_this_machine(tmp_path: Path, header: str) -> None:
    assert ask(tmp_path, "GET", "/metrics", {header: "localhost"}, **TOKENS).status_code == 401


def answer_to(home: Path, scope: Scope) -> int:
    """The status of the answer to a request in ASGI's own words."""
    statuses: list[int] = []

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    async def scenario() -> None:
        await Gate(path_of, settings_of(home, **TOKENS), WEBHOOKS)(scope, send, send)

    asyncio.run(scenario())
    return statuses[0]


@pytest.mark.parametrize(("version", "status"), [("1.0", 401), ("1.1", 200)])
def test_http_1_0_is_a_proxy_that_was_told_nothing(tmp_path: Path, version: str, status: int) -> None:
    scope = {"type": "http", "http_version": version, "method": "GET", "path": "/metrics", "client": ("127.0.0.1", 1)}
    assert answer_to(tmp_path, {**scope, "headers": [(b"host", b"localhost")]}) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("https://evil.example", 401),
        ("null", 401),
        ("é", 401),
    ],
)
def test_a_page_from_elsewhere_is_not_this_machine(tmp_path: Path, origin: str, status: int) -> None:
    headers = {"Origin": origin.encode()}
    assert ask(tmp_path, "POST", "/Greet", headers, **TOKENS).status_code == status


@pytest.mark.parametrize("token", ["", " ", "é", "\x00", "admin-токе", "Bearer admin-токен", "a" * 9000])
def test_every_wrong_token_gets_the_same_answer(tmp_path: Path, token: str) -> None:
    wrong = ask(tmp_path, "GET", "/metrics", {"Authorization": f"Bearer {token}".encode()}, caller=STRANGER, **TOKENS)
    other = ask(tmp_path, "GET", "/metrics", {"Authorization": b"Bearer x"}, caller=STRANGER, **TOKENS)
    assert (wrong.status_code, wrong.content) == (other.status_code, other.content)


@pytest.mark.parametrize("secret", ["intake_token", "admin_token"])
def test_an_old_token_is_worth_nothing(tmp_path: Path, secret: str) -> None:
    renewed = {**TOKENS, secret: "another"}
    url, headers = ("/in/in-токен/Greet", {}) if secret == "intake_token" else ("/Greet", ADMIN)
    assert ask(tmp_path, "POST", url, headers, caller=STRANGER, **renewed).status_code == 401


@pytest.mark.parametrize(
    "url",
    [
        "/in/in-токен//metrics",
        "/in/in-токен/tasks/../errors/retry",
        "/in/in-токен/tasks/../../metrics",
        "/in/in-токен/%2e%2e/metrics",
        "/in/in-токен/Greet/../../metrics",
        "/in/../metrics",
        "//metrics",
        "/health/../metrics",
        "/health;x",
        "/Health",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_trick_with_the_path_opens_more(tmp_path: Path, url: str, method: str) -> None:
    answer = ask(tmp_path, method, url, caller=STRANGER, **TOKENS)
    assert answer.status_code in (401, 403) or answer.text.startswith("/tasks/")
