"""The door of the portal: each HTTP request goes through the bucket, the faults, the secret, and to its method."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from carex_bitrix24.simulator.address import Address, parse_address, read_params, read_v3_params
from carex_bitrix24.simulator.answer import Answer, Cut, html_answer, json_answer
from carex_bitrix24.simulator.call import Refusal
from carex_bitrix24.simulator.dispatch import carry_out, time_block, time_limit
from carex_bitrix24.simulator.faults import Fault

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal

_PAGES = {
    "html_502": (502, "Bad Gateway"),
    "html_504": (504, "Gateway Time-out"),
    "html_403": (403, "Forbidden"),
    "unavailable_503": (503, "Service Temporarily Unavailable"),
}
_REFUSALS = {
    "status_500": Refusal("INTERNAL_SERVER_ERROR", "Internal server error", 500),
    "overload": Refusal("OVERLOAD_LIMIT", "REST API is blocked due to overload.", 503),
    "unauthorized": Refusal("NO_AUTH_FOUND", "Wrong authorization data", 401),
    "operation_time_limit": time_limit(),
}


class Door:
    """The ASGI application behind `/rest/`."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        body = await _read(receive)
        answer = await self._answer(scope, receive, body)
        await answer.send(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, body: bytes) -> Answer | Cut:
        portal, started = self.portal, self.portal.now()
        headers = Headers(scope=scope)
        portal.ledger.requests += 1
        number = portal.ledger.requests
        address = parse_address(scope["path"])
        method = address.method if address else ""
        v3 = address is not None and address.v3
        if not portal.bucket.take(started):
            portal.ledger.refusals += 1
            return self._refused(Refusal("QUERY_LIMIT_EXCEEDED", "Too many requests", 503), method, v3)
        url = f"{scope['scheme']}://{headers.get('host', '')}{scope['path']}"
        fault = portal.faults.pick(method, started, url)
        if portal.latency:
            await asyncio.sleep(portal.latency / 2)
        if fault and not fault.lets_through:
            answer = self._faulty(fault, scope, method, v3)
        else:
            params = _params(scope, headers, body, v3)
            answer = self._called(scope, address, params, number, started)
            if fault:
                answer = await self._spoilt(fault, answer, receive, method, v3)
        if portal.latency:
            await asyncio.sleep(portal.latency / 2)
        return answer

    def _called(
        self, scope: Scope, address: Address | None, params: dict[str, Any], number: int, started: float
    ) -> Answer:
        portal = self.portal
        method = address.method if address else ""
        v3 = address is not None and address.v3
        try:
            if portal.require_https and scope["scheme"] != "https":
                raise Refusal("INVALID_REQUEST", "Https required.", 400)
            if address is None or (address.user, address.secret) != (str(portal.user_id), portal.secret):
                raise _REFUSALS["unauthorized"]
            inside = method == "batch" and portal.batch_billing == "inner"
            reply = carry_out(portal, method, params, number, billed=not inside, v3=v3)
        except Refusal as refusal:
            return self._refused(refusal, method, v3)
        portal.ledger.calls[method, "OK"] += 1
        envelope: dict[str, Any] = {"result": reply.result}
        if reply.next is not None:
            envelope["next"] = reply.next
        if reply.total is not None:
            envelope["total"] = reply.total
        envelope["time"] = time_block(portal, method, started)
        return json_answer(envelope)

    def _refused(self, refusal: Refusal, method: str, v3: bool) -> Answer:
        self.portal.ledger.calls[method, refusal.code] += 1
        return json_answer(refusal.new_shape() if v3 else refusal.old_shape(), refusal.status)

    def _faulty(self, fault: Fault, scope: Scope, method: str, v3: bool) -> Answer | Cut:
        self.portal.ledger.calls[method, f"fault:{fault.kind}"] += 1
        if fault.kind == "reset_before":
            return Cut(reset=True)
        if fault.kind == "redirect":
            query = scope["query_string"].decode("latin-1")
            target = fault.to.rstrip("/") + scope["path"] + ("?" + query if query else "")
            return Answer(302, b"", "text/html", {"location": target})
        if fault.kind == "error_200":
            return json_answer({"error": fault.code, "error_description": fault.text})
        if fault.kind in _PAGES:
            return html_answer(*_PAGES[fault.kind])
        refusal = _REFUSALS[fault.kind]
        return json_answer(refusal.new_shape() if v3 else refusal.old_shape(), refusal.status)

    async def _spoilt(self, fault: Fault, answer: Answer, receive: Receive, method: str, v3: bool) -> Answer | Cut:
        self.portal.ledger.calls[method, f"fault:{fault.kind}"] += 1
        if fault.kind == "answer_lost":
            return Cut(reset=False)
        if fault.kind == "truncated":
            return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.content_type)
        if fault.kind == "slow":
            await _pause(receive, fault.seconds)
            return answer
        if fault.kind in _PAGES:
            return html_answer(*_PAGES[fault.kind])
        return json_answer(_REFUSALS[fault.kind].old_shape(), _REFUSALS[fault.kind].status)


def _params(scope: Scope, headers: Headers, body: bytes, v3: bool) -> dict[str, Any]:
    if v3:
        return read_v3_params(body)
    return read_params(scope["query_string"].decode("latin-1"), headers.get("content-type", ""), body)


async def _pause(receive: Receive, seconds: float) -> None:
    # Nothing but a hang-up can come after the body, and nobody needs to wait on behalf of a client that has left.
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(receive(), seconds)


async def _read(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(pieces)
