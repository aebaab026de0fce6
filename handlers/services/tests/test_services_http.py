"""`http_request` on a real web server: what may be called, what an answer means, and what nobody can know."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from carex_services import plugin

from carex import BpmnError, Done, Fail, Retry, Wait
from carex.testing import call


def says(status: int, text: str = "", **headers: str) -> Any:
    return lambda _: web.Response(
        status=status, text=text, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


def lost(request: web.Request) -> web.Response:
    """The request was read, and nobody hears what became of it."""
    assert request.transport
    request.transport.abort()
    return web.Response()


def test_an_answer_in_json_is_read(ask: Any) -> None:
    outcome = ask(lambda _: web.json_response({"order": 5}))

    assert outcome == Done({"http_status": 200, "http_type": "application/json", "http_body": {"order": 5}})


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (lambda _: web.Response(text="привет"), "привет"),
        (lambda _: web.Response(text="привет", charset="cp1251"), "привет"),
        (lambda _: web.Response(body=b"\xff\x00", content_type="image/png"), "/wA="),
        (lambda _: web.Response(text='{"a": NaN}', content_type="application/json"), '{"a": NaN}'),
        (lambda _: web.Response(status=204), None),
    ],
)
def test_any_other_answer_is_text_or_base64(ask: Any, answer: Any, body: Any) -> None:
    assert ask(answer).result["http_body"] == body


@pytest.mark.parametrize(
    ("given", "type", "sent"),
    [
        ({"json": {"b": "й", "a": [1, None]}}, "application/json", '{"a": [1, null], "b": "й"}'),
        ({"form": {"a": "1 2", "b": "й"}}, "application/x-www-form-urlencoded", "a=1+2&b=%D0%B9"),
        ({"text": "plain"}, "text/plain; charset=utf-8", "plain"),
        ({"text": "<x/>", "headers": {"content-type": "text/xml"}}, "text/xml", "<x/>"),
    ],
)
def test_a_body_is_sent(ask: Any, given: dict[str, Any], type: str, sent: str) -> None:
    ask(method="post", **given)

    assert ask.server.got[0].method == "POST"
    assert ask.server.got[0].headers.getall("Content-Type") == [type]
    assert ask.server.bodies == [sent.encode()]


def test_a_query_is_added(ask: Any) -> None:
    ask(url="http://127.0.0.1:PORT/orders?a=1#part", query={"name": "Анна & co"})

    assert dict(ask.server.got[0].query) == {"a": "1", "name": "Анна & co"}


def test_every_attempt_carries_the_same_idempotency_key(ask: Any) -> None:
    for _ in range(2):
        ask(method="POST", id="0192ab")

    assert [each.headers["Idempotency-Key"] for each in ask.server.got] == ["0192ab", "0192ab"]


def test_a_key_of_the_caller_s_own_is_kept(ask: Any) -> None:
    ask(method="POST", headers={"idempotency-key": "order-5"})

    assert ask.server.got[0].headers.getall("Idempotency-Key") == ["order-5"]


# ------------------------------------------------------------------ what an answer means


@pytest.mark.parametrize("status", [404, 409, 410, 412, 422])
def test_an_answer_about_the_matter_is_an_error_that_a_process_may_catch(ask: Any, status: int) -> None:
    outcome = ask(says(status, "no such order"))

    found = {"http_status": status, "http_type": "text/plain", "http_body": "no such order"}
    assert outcome == BpmnError(f"HTTP_{status}", f"HTTP {status}: no such order", found)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 501, 304])
def test_a_request_that_is_wrong_fails(ask: Any, status: int) -> None:
    assert isinstance(ask(says(status)), Fail)


@pytest.mark.parametrize(
    ("status", "again", "delay"),
    [(429, "120", 120), (503, "", 30), (503, "999999", 3600), (429, "?", 30)],
)
def test_a_host_that_cannot_now_is_waited_for_as_long_as_it_says(
    ask: Any, status: int, again: str, delay: float
) -> None:
    outcome = ask(says(status, "later", Retry_After=again), method="POST")

    assert outcome == Wait(f"HTTP {status}: later", delay)


def test_a_date_says_when_too(ask: Any) -> None:
    outcome = ask(says(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"))

    assert (type(outcome), outcome.delay) == (Wait, 1.0)


def test_what_is_expected_is_no_error(ask: Any) -> None:
    assert ask(says(404, "none"), expect=[200, 404]).result["http_status"] == 404


def test_and_what_is_not_is_one(ask: Any) -> None:
    assert isinstance(ask(says(202), expect=[200]), Fail)


@pytest.mark.parametrize("answer", [says(500, "oops"), says(502), says(504), lost])
@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"method": "GET"}, Retry),
        ({"method": "PUT"}, Retry),
        ({"method": "DELETE"}, Retry),
        ({"method": "POST"}, Fail),
        ({"method": "PATCH"}, Fail),
        ({"method": "POST", "repeatable": True}, Retry),
    ],
)
def test_what_nobody_knows_is_repeated_only_where_that_does_no_harm(
    ask: Any, answer: Any, request_: dict[str, Any], expected: type
) -> None:
    assert type(ask(answer, **request_)) is expected


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_may_have_changed_something_is_sent_once_in_an_attempt(ask: Any, method: str) -> None:
    ask(lost, method=method)

    assert len(ask.server.got) == 1


def test_a_host_that_takes_too_long_leaves_it_open(ask: Any) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    outcome = ask(slow, {"http_timeout": 0.2}, method="POST")

    assert isinstance(outcome, Fail)
    assert "no whole answer within 0.2 s" in outcome.reason


def test_so_does_one_that_sends_a_little_now_and_then(ask: Any) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.01)

    assert isinstance(ask(drip, {"http_timeout": 0.3}), Retry)


def test_a_host_that_nobody_answers_at_got_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host = f"http://127.0.0.1:{taken.getsockname()[1]}"
    handler = plugin.handlers["http_request"]

    outcome = asyncio.run(call(handler, {"url": host, "method": "POST"}, settings={"http_hosts": [host]}))

    assert isinstance(outcome, Wait)


# ------------------------------------------------------------------ limits


@pytest.mark.parametrize("chunked", [True, False])
def test_an_answer_that_is_too_large_is_not_read(ask: Any, chunked: bool) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={} if chunked else {"Content-Length": str(10**9)})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    outcome = ask(endless, {"http_max_bytes": 200_000})

    assert isinstance(outcome, Fail)
    assert "more than the 200000 bytes" in outcome.reason


def test_an_answer_that_would_grow_when_decoded_is_not_decoded(ask: Any) -> None:
    outcome = ask(says(200, "x", Content_Encoding="gzip"))

    assert isinstance(outcome, Fail)
    assert ask.server.got[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"X-A": "b\r\nX-C: d"}},
        {"headers": {"X A": "b"}},
        {"headers": {"Host": "other.example"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"X-A": "й"}},
        {"json": {}, "text": "both"},
        {"method": "CONNECT"},
    ],
)
def test_a_request_that_cannot_be_is_not_sent(ask: Any, given: dict[str, Any]) -> None:
    assert isinstance(ask(**given), Fail)
    assert ask.server.got == []


def test_no_cookie_of_one_task_gets_into_another(ask: Any) -> None:
    async def scenario() -> None:
        async with ask.server.serve():
            from carex_services import Settings, open_outside

            host = f"http://127.0.0.1:{ask.server.port}"
            settings = Settings.model_validate({"http_hosts": [host]})
            async with open_outside(settings) as outside:
                for _ in range(2):
                    await call(plugin.handlers["http_request"], {"url": host}, settings=settings, client=outside)

    ask.server.answer = says(200, Set_Cookie="session=1; Path=/")
    asyncio.run(scenario())

    assert [each.headers.get("Cookie") for each in ask.server.got] == [None, None]


# ------------------------------------------------------------------ secrets


def test_a_host_is_sent_the_header_that_the_settings_have_for_it(ask: Any) -> None:
    secret = {"http_headers": {"http://127.0.0.1:PORT": "Authorization: Bearer s3cr3t"}}

    ask(settings=secret, headers={"authorization": "Bearer mine"})

    assert ask.server.got[0].headers.getall("Authorization") == ["Bearer s3cr3t"]


@pytest.mark.parametrize(
    "answer", [says(500), says(400), lost, says(302, Location="https://other.example/?key=s3cr3t")]
)
def test_no_secret_is_in_an_outcome(ask: Any, answer: Any, lines: list[str]) -> None:
    secret = {"http_headers": {"http://127.0.0.1:PORT": "Authorization: Bearer s3cr3t"}}

    outcome = ask(answer, secret, url="http://127.0.0.1:PORT/?key=s3cr3t", method="POST")

    assert "s3cr3t" not in repr(outcome) + "".join(lines)


def test_a_certificate_is_checked(ask: Any, certificates: Any) -> None:
    there = {"http_hosts": ["https://127.0.0.1:PORT"]}

    trusted = ask(
        settings={**there, "ca_file": str(certificates.ca_file)}, tls=certificates.server, url="https://127.0.0.1:PORT/"
    )
    unknown = ask(settings=there, tls=certificates.server, url="https://127.0.0.1:PORT/")

    assert isinstance(trusted, Done)
    assert isinstance(unknown, Wait)
    assert "certificate verify failed" in unknown.reason
