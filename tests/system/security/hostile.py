"""A server that answers whatever it is asked with whatever it was told, in the worst way there is."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import socketserver
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager

FAULTS = (
    "401",
    "403",
    "404",
    "429",
    "500",
    "503",
    "redirect",
    "garbage",
    "malformed",
    "error",
    "empty",
    "cut",
    "hang",
    "html",
)
"""How it answers HTTP. All but `hang` and `empty` say what they were sent, with credentials decoded."""


class Hostile(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    fault = "500"
    asked = 0

    def __init__(self, fault: str, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.tls = tls
        self.stopping = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers who go away are no news."""


@contextmanager
def hostile(fault: str, tls: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    server = Hostile(fault, tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()


class _Handler(socketserver.BaseRequestHandler):
    server: Hostile
    request: socket.socket

    def handle(self) -> None:
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            _mail(self.request)
            return
        said = self._read()
        self.server.asked += bool(said)
        if said.startswith(b"*"):
            self.request.sendall(b"-ERR denied: " + _decoded(said) + b"\r\n")
        elif self.server.fault == "hang":
            self.server.stopping.wait(20)
        elif self.server.fault != "empty":
            self.request.sendall(_answer(self.server.fault, said))

    def _read(self) -> bytes:
        """A request with its body, or what comes within a moment."""
        said = b""
        self.request.settimeout(0.3)
        with contextlib.suppress(OSError):
            while part := self.request.recv(65536):
                said += part
                head, end, body = said.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                if end and len(body) >= int(length.group(1) if length else 0):
                    break
        return said


def _answer(fault: str, said: bytes) -> bytes:
    echo = _decoded(said)
    line = said.split(b" ")[1] if said.count(b" ") > 1 else b"/"
    if fault == "garbage":
        return echo
    if fault == "redirect":
        return (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1"
            + line
            + b"?said="
            + echo
            + b"\r\nContent-Length: 0\r\n\r\n"
        )
    if fault == "cut":
        return b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nContent-Type: text/html\r\n\r\n" + echo
    status, kind, body = {
        "malformed": (b"200 OK", b"application/json", b'{"result": "' + echo),
        "error": (b"400 " + line, b"application/json", _json(echo)),
        "html": (b"200 OK", b"text/html", b"<html>You asked: " + echo),
    }.get(fault, (fault.encode() + b" " + line, b"text/html", b"<html><h1>Not so</h1>You asked: " + echo))  # fmt: skip
    head = b"HTTP/1.1 " + status + b"\r\nContent-Type: " + kind + b"\r\nX-Asked: " + echo[:500]
    return head + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\nConnection: close\r\n\r\n" + body


def _json(echo: bytes) -> bytes:
    """In every field that systems explain themselves in."""
    fields = ("error", "error_description", "message", "type", "errorIdentifier", "odata.error")
    return json.dumps(dict.fromkeys(fields, echo.decode(errors="replace"))).encode()


def _mail(connection: socket.socket) -> None:
    """A mail server that wants a login, and repeats what it was given."""
    connection.sendall(b"220 hostile\r\n")
    for line in connection.makefile("rb"):
        if line.upper().startswith(b"EHLO"):
            connection.sendall(b"250-hostile\r\n250 AUTH PLAIN LOGIN\r\n")
        else:
            connection.sendall(b"535 5.7.8 not with " + _decoded(line) + b"\r\n")


def _decoded(said: bytes) -> bytes:
    """In one line, and followed by what was base64 in it: somebody's error page is helpful."""
    inside = b" ".join(b64decode(each + b"=" * (-len(each) % 4)) for each in re.findall(rb"[A-Za-z0-9+/]{16,}=*", said)
                       if _fits(each))  # fmt: skip
    return b" ".join(re.sub(rb"[^ -~\x80-\xff]+", b" ", said + b" " + inside).split())


def _fits(text: bytes) -> bool:
    try:
        b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return False
    return True
