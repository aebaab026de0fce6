"""Requests as nobody should send them, among good ones: no 5xx, and no good one is lost."""

from __future__ import annotations

import json
import select
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.system.conftest import Installation

INTAKE, ADMIN = "intake-token", "admin-token"

anything = st.binary(max_size=60)
printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40).map(str.encode)
methods = st.sampled_from(
    [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"TRACE", b"CONNECT", b"get"]
)
numbers = st.sampled_from(
    ["0", "-1", "1e3", "+1", "1_0", "١٢٣", "9" * 5000, "1.5", "NaN", "%00", "1%0d%0aX: y", "%ff", "1&deal_id=2", "[]"]
)
paths = st.one_of(
    numbers.map(lambda number: f"/CarexRandom?deal_id={number}".encode()),
    numbers.map(lambda number: f"/in/{INTAKE}/CarexRandom?deal_id=1&cont_id={number}".encode()),
    st.sampled_from(
        [
            b"/",
            b"//",
            b"*",
            b"/..",
            b"/%2e%2e/metrics",
            b"/in/",
            b"/in//x",
            b"/in/x/../metrics",
            b"/tasks/",
            b"/tasks/zoo_tame",
            b"/tasks/%00",
            b"/tasks/a%2Fb",
            b"/errors/retry",
            b"/retry-errors",
            b"/metrics;x",
            b"/ready/",
            b"/docs/x",
            b"/health?",
            b"http://evil.example/metrics",
            b"/%",
            b"/%zz",
            b"/\xff",
            "/\u00e9".encode(),
            b"/" + b"a" * 9000,
            b"/CarexRandom?" + b"a[" * 500,
            b"/CarexRandom?document_id[2]=DEAL_\xd9\xa1",
            f"/in/{INTAKE}/tasks/zoo_tame".encode(),
        ]
    ),
    printable.map(lambda text: b"/" + text),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
bodies = st.one_of(
    anything,
    values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("n", "trace", "seconds", "types", "since", "match"), values)).map(
        lambda value: json.dumps(value).encode()
    ),
    st.sampled_from(
        [
            b"[" * 5000,
            b'{"n":1,"n":2}',
            b'{"n":' + b"9" * 5000 + b"}",
            b'{"n":1e999}',
            b"\xef\xbb\xbf{}",
            b"a[b]=1&a=2",
            b"x" * 20000,
            b"deal_id=1&" * 2000,
            b'{"n":"\\u0000"}',
            b"%",
            b"=",
            b"&" * 3000,
        ]
    ),
)
headers = st.lists(
    st.one_of(
        st.tuples(printable, printable),
        st.tuples(printable, anything),
        st.sampled_from(
            [
                (b"Authorization", b"Bearer " + ADMIN.encode()),
                (b"Authorization", b"Bearer \xc3\xa9"),
                (b"Authorization", b"Bearer"),
                (b"Authorization", b"\xff"),
                (b"X-Forwarded-For", b"127.0.0.1"),
                (b"Forwarded", b"for=127.0.0.1"),
                (b"Host", b"\xff"),
                (b"Host", b"evil.example"),
                (b"Host", b"[::1"),
                (b"Host", b"localhost:99999"),
                (b"Origin", b"null"),
                (b"Origin", b"\xff://x"),
                (b"Idempotency-Key", b"k"),
                (b"Idempotency-Key", b"\xd0\xba"),
                (b"Expect", b"100-continue"),
                (b"Upgrade", b"websocket"),
                (b"Connection", b"Upgrade"),
                (b"Sec-Fetch-Site", b"cross-site"),
                (b"Cookie", b"a" * 9000),
                (b"Content-Encoding", b"gzip"),
            ]
        ),
    ),
    max_size=4,
)
types = st.sampled_from(
    [
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"text/xml",
        b"application/json; charset=\xff",
        b"",
        b"multipart/form-data",
    ]
)
framings = st.sampled_from(
    ["length", "length", "length", "chunked", "bad chunks", "both", "too long", "none", "negative", "cut"]
)


@dataclass
class Request:
    method: bytes
    path: bytes
    headers: list[tuple[bytes, bytes]]
    type: bytes
    body: bytes
    framing: str
    version: bytes = b"HTTP/1.1"
    raw: bytes = field(init=False)

    def __post_init__(self) -> None:
        lines = [b" ".join([self.method, self.path, self.version]), b"Host: localhost", b"Content-Type: " + self.type]
        length = b"Content-Length: " + str(len(self.body)).encode()
        chunk = b"%x\r\n" % len(self.body) + self.body + b"\r\n0\r\n\r\n"
        more, body = {
            "length": ([length], self.body),
            "chunked": ([b"Transfer-Encoding: chunked"], chunk),
            "bad chunks": ([b"Transfer-Encoding: chunked"], b"zz\r\n" + self.body),
            "both": ([length, b"Transfer-Encoding: chunked"], chunk),
            "too long": ([b"Content-Length: 99999999999999999999"], self.body),
            "none": ([], self.body),
            "negative": ([b"Content-Length: -5"], self.body),
            "cut": ([b"Content-Length: " + str(len(self.body) + 10).encode()], self.body),
        }[self.framing]
        lines += [name + b": " + value for name, value in self.headers] + more
        self.raw = b"\r\n".join([*lines, b"", body])


requests = st.one_of(
    st.builds(
        Request,
        methods,
        paths,
        headers,
        types,
        bodies,
        framings,
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/3"]),
    ).map(lambda request: request.raw),
    st.binary(min_size=1, max_size=200),
)


def send(port: int, raw: bytes, patience: float = 0.15) -> int:
    """The status of the answer; 0 if the server hung up, or had nothing to say to what it got."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        try:
            line.sendall(raw)
            if not select.select([line], [], [], patience)[0]:
                line.shutdown(socket.SHUT_WR)  # it waits for the rest of what was no whole request
            said = line.recv(65536)
        except ConnectionError:
            return 0
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.1 ") else 0


def good(number: int) -> bytes:
    line = f"POST /in/{INTAKE}/CarexRandom?deal_id={number} HTTP/1.1"
    return f"{line}\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n".encode()


def memory(pid: int) -> float:
    """Megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.parametrize("examples", [800, pytest.param(5000, marks=pytest.mark.chaos)])
def test_bad_requests_are_refused_and_no_good_one_is_lost(
    installation: Installation, examples: int, eventually: Callable[..., Any]
) -> None:
    installation.env |= {"CAREX_SERVER__INTAKE_TOKEN": INTAKE, "CAREX_SERVER__ADMIN_TOKEN": ADMIN}
    process, url = installation.serve()
    port = int(url.rpartition(":")[2])
    assert send(port, good(10**9), 10) == 202
    statuses: Counter[int] = Counter()
    accepted = 1
    before = memory(process.pid)

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(requests)
    def bombard(raw: bytes) -> None:
        nonlocal accepted
        status = send(port, raw)
        assert status < 500, (status, raw)
        statuses[status] += 1
        if sum(statuses.values()) % 10 == 0:
            accepted += 1
            assert send(port, good(10**9 + accepted), 10) == 202

    bombard()
    tasks = [entry for entry in installation.entries() if str(entry.task.key).startswith("bitrix_assign:1000000")]
    assert len(tasks) == accepted > examples // 12
    assert memory(process.pid) - before < 20
    assert {400, 401, 404, 405, 422} <= statuses.keys()
    assert "Traceback" not in (installation.home / "logs" / "company_debug.log").read_text()
