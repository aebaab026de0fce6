"""What every request passes first: who asks, in which format, and whether something is broken just now."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from carex_openproject.simulator.answers import Refusal, hal
from carex_openproject.simulator.instance import Fault, Instance

Answer = Callable[[Instance, Request, dict[str, Any]], Any]
_PAGE = "<html><head><title>{status} Trouble</title></head><body>nginx</body></html>"


class Half(Response):
    """An answer that ends in the middle, and the connection with it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b'{"_type": "Work', "more_body": True})


def behind(instance: Instance, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that answers with a body, or with a body and a status, whatever the door lets through."""

    async def endpoint(request: Request) -> Response:
        fault = instance.fault_for(request.method, request.url.path)
        late = fault is not None and fault.kind == "late"
        if fault is not None and not fault.applied and not late:
            return _broken(instance, request, fault)
        try:
            _authenticate(instance, request)
            given = await _body(request)
            if fault is not None and late and not fault.applied:
                await fault.until.wait()
            found = answer(instance, request, given)
            body, status = found if isinstance(found, tuple) else (found, 200)
            response = hal(body, status)
        except Refusal as refusal:
            response = hal(refusal.body, refusal.status, refusal.headers)
        if fault is not None and not late:
            return _broken(instance, request, fault)
        if fault is not None and late and fault.applied:
            await fault.until.wait()
        instance.log.append((request.method, request.url.path, response.status_code))
        return response

    return endpoint


def _broken(instance: Instance, request: Request, fault: Fault) -> Response:
    status = fault.kind if isinstance(fault.kind, int) else 0
    instance.log.append((request.method, request.url.path, status))
    if fault.kind == "cut":
        return Half(headers={"Content-Length": "500"}, media_type="application/hal+json")
    if status in (429, 500):
        name = {429: "TooManyRequests", 500: "InternalServerError"}[status]
        return hal(Refusal(status, name, "An internal error has occurred.").body, status, fault.headers)
    return Response(_PAGE.format(status=status), status, fault.headers, media_type="text/html")


def _authenticate(instance: Instance, request: Request) -> None:
    """Bearer, or basic with the user `apikey`."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, given = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = ""
        given = given if user == "apikey" else ""
    if scheme.lower() not in ("basic", "bearer") or given != instance.token:
        refusal = Refusal(401, "Unauthenticated", "You did not provide the correct credentials.")
        refusal.headers = {"WWW-Authenticate": 'Basic realm="OpenProject API"'}
        raise refusal


async def _body(request: Request) -> dict[str, Any]:
    if request.method not in ("POST", "PATCH"):
        return {}
    type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not type:
        raise Refusal(406, "InvalidRequestBody", "Missing content-type header")
    if type not in ("application/json", "application/hal+json"):
        text = f"Expected CONTENT-TYPE to be 'application/json' but got '{type}'."
        raise Refusal(415, "TypeNotSupported", text)
    raw = await request.body()
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        raise Refusal(400, "InvalidRequestBody", "The request body was not valid JSON.") from None
    if not isinstance(found, dict):
        raise Refusal(400, "InvalidRequestBody", "The request body was not a single JSON object.")
    return found
