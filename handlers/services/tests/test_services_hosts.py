"""Only what is listed can be called, whatever a task, a name server or a redirect says."""

import re
from typing import Any

import pytest
from aiohttp import web
from carex_services.hosts import Entry, find, is_open, place_of
from hypothesis import given
from hypothesis import strategies as st

from carex import Done, Fail


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("api.example.com", "https://api.example.com/a?b#c"),
        ("api.example.com", "HTTPS://API.example.COM.:443"),
        ("https://api.example.com/", "https://api.example.com"),
        ("*.example.com", "https://a.b.example.com/"),
        ("api.example.com:8443", "https://api.example.com:8443/"),
        ("http://10.0.0.5:8080", "http://10.0.0.5:8080/x"),
        ("http://[::1]:80", "http://[::1]/x"),
    ],
)
def test_a_listed_host_may_be_called(entry: str, url: str) -> None:
    assert find(place_of(url), [Entry.of(entry)])


@pytest.mark.parametrize("entry", ["api.example.com:0", "api.example.com:65536", "http://10.0.0.5:99999"])
def test_a_port_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=f"the port of {entry} must be one from 1 to 65535"):
        Entry.of(entry)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://example.com/",
        "https://xapi.example.com/",
        "https://api.example.com.evil.example/",
        "https://evil.example/api.example.com",
        "https://evil.example?api.example.com",
        "https://evil.example#@api.example.com",
    ],
)
def test_no_other_host_may(url: str) -> None:
    assert find(place_of(url), [Entry.of("api.example.com")]) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://user:password@api.example.com/",
        "https://api.example.com@evil.example/",
        "https://api.example.com\\@evil.example/",
        "https://api.example.com /",
        "https://api.example.com\t.evil.example/",
        "https://api.example.com%2eevil.example/",
        "https://api.example.com:443x/",
        "https://аpi.example.com/",
        "https:api.example.com",
        "//api.example.com/",
        "file:///etc/passwd",
        "ftp://api.example.com/",
        "gopher://api.example.com/",
        "",
    ],
)
def test_an_address_that_readers_could_understand_differently_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the address"):
        place_of(url)


@given(
    st.text(max_size=30), st.sampled_from(["{}", "https://{}", "https://api.example.com{}", "https://{}.example.com"])
)
def test_whatever_is_written_leads_where_all_readers_say(text: str, shape: str) -> None:
    import httpx
    from yarl import URL

    try:
        place = place_of(shape.format(text))
    except ValueError:
        return
    try:
        seen = {httpx.URL(place.url).host.rstrip("."), (URL(str(httpx.URL(place.url))).host or "").rstrip(".")}
    except (ValueError, httpx.InvalidURL):
        return  # it is not sent
    assert seen == {place.host}


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "ff02::1",
    ],
)
def test_a_private_address_is_not_open(address: str) -> None:
    assert not is_open(address, [])


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("93.184.216.34", []),
        ("2606:2800:220:1::1", []),
        ("10.1.2.3", ["10.0.0.0/8"]),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"]),
        ("fd00::1", ["10.0.0.0/8", "fd00::/8"]),
    ],
)
def test_a_public_or_a_listed_one_is(address: str, networks: list[str]) -> None:
    assert is_open(address, networks)


# ------------------------------------------------------------------ on the wire


def test_a_host_that_is_not_listed_gets_nothing(ask: Any) -> None:
    outcome = ask(settings={"http_hosts": ["api.example.com"]})

    assert outcome == Fail(f"http://127.0.0.1:{ask.server.port} is not in http_hosts")
    assert ask.server.got == []


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f.1"])
def test_a_listed_name_that_leads_to_a_private_address_gets_nothing(ask: Any, name: str) -> None:
    outcome = ask(settings={"http_hosts": [f"http://{name}:PORT"]}, url=f"http://{name}:PORT/")

    assert isinstance(outcome, Fail)
    assert re.search("a private address; see http_networks|not a canonical IPv4 address", outcome.reason)
    assert ask.server.got == []


def test_unless_its_network_is_listed(ask: Any) -> None:
    there = {"http_hosts": ["http://localhost:PORT"], "http_networks": ["127.0.0.0/8"]}

    assert isinstance(ask(settings=there, url="http://localhost:PORT/"), Done)


def redirects(status: int, to: str) -> Any:
    def answer(request: web.Request) -> web.Response:
        port = request.url.port
        moved = web.Response(status=status, headers={"Location": to.replace("PORT", str(port))})
        return moved if request.path == "/orders" else web.json_response({"path": request.path})

    return answer


@pytest.mark.parametrize(
    ("status", "method", "second"),
    [(301, "GET", "GET"), (302, "GET", "GET"), (307, "POST", "POST"), (308, "PUT", "PUT"), (303, "POST", "GET")],
)
def test_a_redirect_within_the_list_is_followed(ask: Any, status: int, method: str, second: str) -> None:
    outcome = ask(redirects(status, "/new"), method=method, text="body")

    assert outcome.result["http_body"] == {"path": "/new"}
    assert [each.method for each in ask.server.got] == [method, second]
    assert ask.server.bodies[1] == (b"body" if method == second else b"")


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://evil.example/",
        "http://localhost:PORT/",
        "file:///etc/passwd",
        "//evil.example/",
        "http://user@127.0.0.1:PORT/",
        "http://127.0.0.1:1/",
    ],
)
def test_a_redirect_out_of_the_list_is_not(ask: Any, to: str) -> None:
    outcome = ask(redirects(302, to))

    assert isinstance(outcome, Fail)
    assert len(ask.server.got) == 1


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_that_would_make_a_post_a_get_is_not_followed(ask: Any, status: int) -> None:
    outcome = ask(redirects(status, "/new"), method="POST")

    assert isinstance(outcome, Fail)
    assert "name that address" in outcome.reason


def test_redirects_in_a_circle_end(ask: Any) -> None:
    outcome = ask(redirects(302, "/orders"))

    assert isinstance(outcome, Fail)
    assert len(ask.server.got) == 6


def test_another_host_is_sent_no_header_meant_for_the_first(ask: Any) -> None:
    there = {"http_hosts": ["http://127.0.0.1:PORT", "http://localhost:PORT"], "http_networks": ["127.0.0.0/8"]}
    secret = {"http_headers": {"http://127.0.0.1:PORT": "X-Key: s3cr3t"}}

    ask(redirects(307, "http://localhost:PORT/new"), {**there, **secret}, headers={"X-Mine": "private"})

    first, second = (each.headers for each in ask.server.got)
    assert (first["X-Key"], first["X-Mine"]) == ("s3cr3t", "private")
    assert "X-Key" not in second
    assert "X-Mine" not in second
    assert second["Idempotency-Key"] == first["Idempotency-Key"]
