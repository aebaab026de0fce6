"""The HTTP server, called as a robot, a program and a stranger would call it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from carex import log
from carex.declared import RESERVED
from carex.errors import Unreachable
from carex.plugin import BadCall, Call, Plugin
from carex.queue import Placed, Queue, open_queue
from carex.registry import Broken, Loaded, Registry
from carex.server import create_app
from carex.settings import load
from carex.task import Done, Fail, Task

greetings = Plugin("greetings")


@dataclass
class Person:
    name: str
    age: int | None = None


@greetings.handler("greet")
def greet(person: Person, ctx: Any) -> None:
    """Say hello."""


class Odd:
    """Nothing that a payload can be read as."""


@greetings.handler("odd")
def odd(payload: Odd, ctx: Any) -> None: ...


@greetings.handler("other")
def other(payload: dict[str, Any], ctx: Any) -> None: ...


@greetings.webhook("/Greet")
def greeting(call: Call) -> Task:
    """Have somebody greeted."""
    name = (call.json or call.form or call.query).get("name")
    if name == "boom":
        raise RuntimeError("secret detail")
    if not name:
        raise BadCall("name", "is missing")
    if name == "homeless":
        return Task("greed", {})
    if name == "unstorable":
        return Task("other", {"name": object()})
    return Task("greet", {"name": name}, key=f"greet:{name}", source="robot")


REGISTRY = Registry([Loaded(greetings, "test 1")], [Broken("onec", "carex-onec 1", "ImportError: no module")])


@asynccontextmanager
async def serving(home: Path, *, queue: Any = None, **server: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Queue]]:
    settings = load(home, None, {f"server.{key}": value for key, value in server.items()}, environ={})
    opened = queue or open_queue(settings.queue.url)
    transport = httpx.ASGITransport(create_app(settings, opened, REGISTRY))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield http, opened
    await opened.close()


def ask(
    home: Path, method: str, url: str, *, headers: Any = None, content: Any = None, **server: Any
) -> httpx.Response:
    """One request to a server of its own."""

    async def scenario() -> httpx.Response:
        async with serving(home, **server) as (http, _):
            return await http.request(method, url, headers=headers, content=content)

    return asyncio.run(scenario())


def run(scenario: Callable[[httpx.AsyncClient, Queue], Awaitable[None]], home: Path, **server: Any) -> None:
    async def served() -> None:
        async with serving(home, **server) as (http, queue):
            await scenario(http, queue)

    asyncio.run(served())


def error(answer: httpx.Response) -> dict[str, Any]:
    """The refusal, which has one shape everywhere."""
    said = answer.json()["error"]
    assert {"code", "message"} <= said.keys() <= {"code", "message", "hint", "fields"}
    return dict(said)


class Down:
    """Storage that is away."""

    async def put(self, tasks: Sequence[Task]) -> list[Placed]:
        raise Unreachable("queue.db: the disk is full.", "Free some space.")

    async def close(self) -> None: ...


class Stuck(Down):
    """Storage that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def put(self, tasks: Sequence[Task]) -> list[Placed]:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


# ---------------------------------------------------------------------------------------------------- webhooks


def test_a_call_is_stored_before_its_answer(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        answer = await http.post("/Greet?name=Ann")
        assert answer.status_code == 202
        shown = (await http.get(f"/tasks/{answer.json()['task_id']}")).json()
        assert answer.json() == {"status": "queued", "task_id": shown["id"]}
        assert (shown["type"], shown["state"]) == ("greet", "waiting")

    run(scenario, tmp_path)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("application/x-www-form-urlencoded", b"name=Ann"), ("application/json; charset=utf-8", b'{"name": "Ann"}')],
)
def test_a_robot_may_send_a_form_or_json(tmp_path: Path, kind: str, content: bytes) -> None:
    assert ask(tmp_path, "POST", "/Greet", headers={"Content-Type": kind}, content=content).status_code == 202


def test_many_calls_at_once_for_the_same_work_are_one_task(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        answers = await asyncio.gather(*(http.post("/Greet?name=Ann") for _ in range(50)))
        assert sorted(each.status_code for each in answers) == [200] * 49 + [202]
        assert len({each.json()["task_id"] for each in answers}) == 1
        assert sum(each.json().get("duplicate", False) for each in answers) == 49

    run(scenario, tmp_path)


def test_a_task_that_cannot_be_stored_does_not_take_its_neighbours_with_it(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        names = ("Ann", "unstorable", "Bob")
        answers = await asyncio.gather(*(http.post(f"/Greet?name={name}") for name in names))
        assert [each.status_code for each in answers] == [202, 500, 202]

    run(scenario, tmp_path)


def test_the_same_work_again_soon_after_its_end_is_a_duplicate(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        first = (await http.post("/Greet?name=Ann")).json()
        [delivery] = await queue.claim(["*"], 1)
        await queue.settle([(delivery, Done())])
        assert (await http.post("/Greet?name=Ann")).json() == first | {"duplicate": True}

    run(scenario, tmp_path)


@pytest.mark.parametrize(
    ("url", "content", "kind", "status", "code"),
    [
        ("/Greet", b"", "", 422, "bad_field"),
        ("/Greet", b"<a/>", "text/xml", 415, "unsupported_media_type"),
        ("/Greet", b"x", "multipart/form-data", 415, "unsupported_media_type"),
        ("/Greet", b"{", "application/json", 400, "bad_json"),
        ("/Greet?name=%00", b"", "", 400, "bad_text"),
        ("/Greet?name[x]=1", b"", "", 422, "bad_field"),
        ("/tasks/greet", b"", "", 415, "unsupported_media_type"),
        ("/tasks/greet", b"", "application/json", 400, "bad_json"),
        ("/tasks/greet", b"[1]", "application/json", 422, "bad_payload"),
        ("/tasks/greet", b'{"name": 1, "age": "x"}', "application/json", 422, "bad_field"),
        ("/tasks/gret", b"{}", "application/json", 404, "not_found"),
        ("/nowhere", b"", "", 404, "not_found"),
        ("/tasks/", b"", "", 404, "not_found"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    tmp_path: Path, url: str, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = ask(tmp_path, "POST", url, content=content, headers={"Content-Type": kind} if kind else None)
    assert (answer.status_code, error(answer)["code"]) == (status, code)


def test_wrong_fields_are_named(tmp_path: Path) -> None:
    answer = ask(
        tmp_path, "POST", "/tasks/greet", content=b'{"age": "x"}', headers={"Content-Type": "application/json"}
    )
    assert [each["field"] for each in error(answer)["fields"]] == ["name", "age"]


def test_no_plugin_can_take_a_path_of_the_servers(tmp_path: Path) -> None:
    paths = ask(tmp_path, "GET", "/openapi.json").json()["paths"]
    hidden = {"docs", "in", "openapi.json"}
    assert {path.split("/")[1] for path in paths} - {"Greet"} | hidden == {*RESERVED}


def test_a_webhook_cannot_put_a_type_that_nobody_has(tmp_path: Path) -> None:
    answer = ask(tmp_path, "POST", "/Greet?name=homeless")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "No handler for task type 'greed'.")


def test_a_handler_that_no_payload_fits_is_refused_by_name_and_without_its_place(tmp_path: Path) -> None:
    answer = ask(tmp_path, "POST", "/tasks/odd", headers={"Content-Type": "application/json"}, content="{}")
    assert (answer.status_code, answer.json()["error"]["hint"]) == (
        409,
        "`carex handlers check greetings` says where.",
    )
    assert "odd cannot be used" in answer.text
    assert __file__ not in answer.text


def test_an_unknown_type_is_answered_with_the_nearest_and_with_what_is_broken(tmp_path: Path) -> None:
    hint = error(ask(tmp_path, "POST", "/tasks/gret"))["hint"]
    assert "'greet'" in hint
    assert "onec" in hint


@pytest.mark.parametrize(
    ("method", "url", "allow"),
    [("GET", "/Greet", "POST"), ("PUT", "/tasks/x", "GET, POST"), ("HEAD", "/retry-errors", "GET")],
)
def test_a_wrong_method_is_told_the_right_ones(tmp_path: Path, method: str, url: str, allow: str) -> None:
    answer = ask(tmp_path, method, url)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_is_refused_as_soon_as_it_is_known_to_be_too_large(tmp_path: Path, streamed: bool) -> None:
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1000
            yield b"x" * 1000

    headers = {"Content-Type": "application/json"} | ({} if streamed else {"Content-Length": "1000000"})
    answer = ask(tmp_path, "POST", "/tasks/greet", content=parts(), headers=headers, max_body=5000)
    assert (answer.status_code, error(answer)["code"]) == (413, "too_large")
    assert sent <= 6000


def test_an_unexpected_error_is_an_id_that_the_log_explains(tmp_path: Path) -> None:
    log.setup(tmp_path, level="CRITICAL", format="text", secrets=frozenset(), name="test")
    answer = ask(tmp_path, "POST", "/Greet?name=boom")
    id = error(answer)["hint"].rpartition(" ")[2].rstrip(".")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    written = (tmp_path / "logs" / "company_main.log").read_text()
    assert id in written
    assert "secret detail" in written


# ------------------------------------------------------------------------------------------------ idempotency


def put(name: str, key: str | bytes) -> dict[str, Any]:
    return {"url": "/tasks/greet", "json": {"name": name}, "headers": {"Idempotency-Key": key}}


def test_a_repeat_under_the_same_idempotency_key_is_answered_from_the_first(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        first, second = [await http.post(**put("Ann", "k1")) for _ in range(2)]
        assert (first.status_code, second.status_code) == (202, 200)
        assert second.json() == first.json() | {"duplicate": True}
        assert second.headers["Idempotent-Replayed"] == "true"

    run(scenario, tmp_path)


def test_an_idempotency_key_with_another_payload_is_refused(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        await http.post(**put("Ann", "k1"))
        answer = await http.post(**put("Bob", "k1"))
        assert (answer.status_code, error(answer)["code"]) == (422, "idempotency_key_reused")

    run(scenario, tmp_path)


@pytest.mark.parametrize("key", ["", "k" * 256, "ключ".encode(), "a\tb"])
def test_an_idempotency_key_is_printable_ascii(tmp_path: Path, key: str | bytes) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        assert (await http.post(**put("Ann", key))).status_code == 422

    run(scenario, tmp_path)


# ---------------------------------------------------------------------------------------------------- storage


@pytest.mark.parametrize(("queue", "code"), [(Down(), "storage_unreachable"), (Stuck(), "storage_timeout")])
def test_without_storage_nothing_is_accepted(tmp_path: Path, queue: Any, code: str) -> None:
    answer = ask(tmp_path, "POST", "/Greet?name=Ann", queue=queue, accept_timeout=0.05)
    assert (answer.status_code, error(answer)["code"]) == (503, code)
    assert int(answer.headers["Retry-After"]) > 0


def test_who_waits_behind_a_stuck_put_is_answered_in_time_too(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        first = asyncio.create_task(http.post("/Greet?name=Ann"))
        await cast(Stuck, queue).asked.wait()
        began = time.monotonic()
        second = await http.post("/Greet?name=Bob")
        assert (first.done(), second.status_code) == (True, 503)
        assert time.monotonic() - began < 0.95

    run(scenario, tmp_path, queue=Stuck(), accept_timeout=0.5)


@pytest.mark.parametrize("queue", [Down(), Stuck()])
def test_without_storage_the_server_is_alive_but_not_ready(tmp_path: Path, queue: Any) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        assert (await http.get("/health")).status_code == 200
        answer = await http.get("/ready")
        assert (answer.status_code, error(answer)["code"]) == (503, "not_ready")

    run(scenario, tmp_path, queue=queue, accept_timeout=0.05)


def test_the_server_is_ready_while_it_can_store(tmp_path: Path) -> None:
    assert ask(tmp_path, "GET", "/ready").json() == {"status": "ready"}


def test_one_metric_page_covers_the_installation(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        await http.post("/Greet?name=Ann")
        assert "company_tasks_in_queue 1.0" in (await http.get("/metrics")).text

    run(scenario, tmp_path)


# ----------------------------------------------------------------------------------------------- failed tasks


async def failed(http: httpx.AsyncClient, queue: Queue, name: str) -> str:
    id = (await http.post(f"/Greet?name={name}")).json()["task_id"]
    [delivery] = await queue.claim(["*"], 1)
    await queue.settle([(delivery, Fail(f"{name} is out"))])
    return str(id)


def test_a_failed_task_says_why(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        shown = (await http.get(f"/tasks/{await failed(http, queue, 'Ann')}")).json()
        assert (shown["state"], shown["reason"], shown["attempt"]) == ("failed", "Ann is out", 1)
        assert shown["created"] <= shown["started"] <= shown["finished"]

    run(scenario, tmp_path)


def test_failed_tasks_go_back_to_waiting_all_or_some(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        for name in ("Ann", "Bob", "Cid"):
            await failed(http, queue, name)
        some = await http.post("/errors/retry", json={"types": ["gre*"], "match": "bob", "since": 0})
        rest = await http.get("/retry-errors")
        assert (some.json(), rest.json()) == ({"retried": 1}, {"retried": 2})
        assert rest.headers["Cache-Control"] == "no-store"

    run(scenario, tmp_path)


def test_another_sites_page_may_not_retry(tmp_path: Path) -> None:
    answer = ask(tmp_path, "GET", "/retry-errors", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, error(answer)["code"]) == (403, "forbidden")


@pytest.mark.parametrize("content", [b'{"type": "x"}', b"[]", b'{"since": "soon"}'])
def test_a_retry_of_something_unclear_is_refused(tmp_path: Path, content: bytes) -> None:
    assert ask(tmp_path, "POST", "/errors/retry", content=content).status_code == 422


def test_an_unknown_task_is_not_found(tmp_path: Path) -> None:
    assert error(ask(tmp_path, "GET", "/tasks/nothing"))["code"] == "not_found"


# ------------------------------------------------------------------------------------- the log and the docs


def test_the_log_has_routes_but_no_token_and_no_query(tmp_path: Path) -> None:
    log.setup(tmp_path, level="CRITICAL", format="text", secrets=frozenset(), name="test")
    ask(tmp_path, "POST", "/in/токен/Greet?name=Ann", intake_token="токен")
    ask(tmp_path, "GET", "/tasks/some-id")
    ask(tmp_path, "GET", "/some-secret-path")
    written = (tmp_path / "logs" / "company_debug.log").read_text()
    assert all(each in written for each in ("POST /Greet 202", "GET /tasks/{id} 404", "GET - 404"))
    assert not any(each in written for each in ("токен", "Ann", "some-id", "secret"))


def test_the_api_describes_itself_without_another_host(tmp_path: Path) -> None:
    async def scenario(http: httpx.AsyncClient, queue: Queue) -> None:
        described = (await http.get("/openapi.json")).json()["paths"]
        page = (await http.get("/docs")).text
        assert {"/Greet", "/tasks/greet", "/tasks/{type}", "/tasks/{id}", "/ready", "/errors/retry"} <= described.keys()
        assert all(path in page for path in described)
        assert "//" not in page

    run(scenario, tmp_path)
