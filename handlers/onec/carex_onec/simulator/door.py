"""The web server and 1C's module in it: who is let in, in which session, and to which part."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from carex_onec.simulator.errors import ODataError, page
from carex_onec.simulator.odata import OData
from carex_onec.simulator.publication import Asked, Publication
from carex_onec.simulator.seats import Seat
from carex_onec.simulator.service import answer

ROOT = "/base/"


class Door:
    """The ASGI application."""

    def __init__(self, publication: Publication) -> None:
        self.publication = publication
        self.odata = OData(publication)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("ascii", "replace")
        path = unquote(raw)
        response, session = await self._answer(request, raw, path, await request.body())
        self.publication.log.append(Asked(request.method, path, session, dict(request.headers), response.status_code))
        await response(scope, receive, send)

    async def _answer(self, request: Request, raw: str, path: str, body: bytes) -> tuple[Response, str]:
        here = self.publication
        if not raw.startswith(ROOT):
            return page(404, "Not Found"), ""
        if here.maintenance:
            return page(*here.maintenance), ""
        if not self._knows(request.headers.get("authorization", "")):
            refusal = page(401, "Идентификация пользователя не выполнена")
            refusal.headers["WWW-Authenticate"] = 'Basic realm="1C:Enterprise 8.3"'
            return refusal, ""
        found = re.search(r"ibsession=([^;\s]+)", request.headers.get("cookie", ""))
        wish = request.headers.get("ibsession", "").lower()
        seat = here.seats.find(found[1]) if found else None
        if found and seat is None:
            return page(here.dead_session, "Сеанс отсутствует или удален"), found[1]
        keep = wish == "start" and here.keeps_sessions
        if seat is None:
            seat = here.seats.open(keep=keep)
        if seat is None:
            return page(406, "Not Acceptable") if keep else page(*here.no_licence), ""
        try:
            async with seat.turn:
                response = await self._served(request, raw, path, body)
        finally:
            self._leave(seat, wish)
        if keep and not found:
            response.headers["Set-Cookie"] = f"ibsession={seat.id}; Path=/base; HttpOnly"
        return response, seat.id

    def _leave(self, seat: Seat, wish: str) -> None:
        seats = self.publication.seats
        seat.used = seats.clock()
        if seat.id not in seats.kept or wish == "finish":
            seats.end(seat)

    async def _served(self, request: Request, raw: str, path: str, body: bytes) -> Response:
        here = self.publication
        fault = here.fault(request.method, path)
        if fault and not fault.applied:
            return self._spoilt(fault.status, fault.text, fault.code, request)
        if here.hold is not None:
            await here.hold()
        rest = raw.removeprefix(ROOT)
        if rest.startswith("odata/standard.odata") and here.odata:
            response = self.odata.answer(request, rest.removeprefix("odata/standard.odata").lstrip("/"), body)
        elif rest.startswith("hs/"):
            response = answer(here, request, unquote(rest.removeprefix("hs/")), body)
        else:
            response = page(404, "Not Found")
        return self._spoilt(fault.status, fault.text, fault.code, request) if fault else response

    def _spoilt(self, status: int, text: str, code: int | None, request: Request) -> Response:
        if code is None:
            return page(status, text)
        return ODataError(code, text, status).response("json" in request.headers.get("accept", ""))

    def _knows(self, header: str) -> bool:
        expected = f"{self.publication.user}:{self.publication.password}".encode()
        return header == f"Basic {base64.b64encode(expected).decode()}"
