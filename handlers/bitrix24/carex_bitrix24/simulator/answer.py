"""What goes back over the wire: an answer, or a connection that is cut instead."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

CUT = "simulator.cut"


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it over ASGI."""
        given = {"content-type": self.content_type, "content-length": str(len(self.body)), **self.headers}
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True)
class Cut:
    """No answer: the connection ends, with a reset or politely."""

    reset: bool

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Cut the connection. Without a socket, raise what an httpx client would have seen."""
        cut = scope.get("extensions", {}).get(CUT)
        if cut is None:
            if self.reset:
                raise httpx.ReadError("Connection reset by the simulated portal")
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        cut(reset=self.reset)
        while (await receive())["type"] != "http.disconnect":
            pass


def json_answer(body: Any, status: int = 200) -> Answer:
    """Return an answer in JSON, written as PHP writes it: without spaces, letters beyond ASCII escaped."""
    return Answer(status, json.dumps(body, separators=(",", ":")).encode())


def html_answer(status: int, title: str) -> Answer:
    """Return the page of a web server that stands in front of the portal."""
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(status, page.encode(), "text/html")
