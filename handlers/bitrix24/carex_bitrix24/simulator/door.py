"""The door of the portal: each HTTP request goes through the bucket, the faults, the secret, and to its method."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from carex_bitrix24.simulator.address import Address, parse_address, read_params, read_v3_params
from carex_bitrix24.simulator.answer import Answer, Cut, html_answer, json_answer
from carex_bitrix24.simulator.batch import CutOff
from carex_bitrix24.simulator.call import Refusal
from carex_bitrix24.simulator.dispatch import carry_out, time_block
from carex_bitrix24.simulator.faults import ERRORS, Fault
from carex_bitrix24.simulator.ledger import Asked
from carex_bitrix24.simulator.spoilt import fault_refusal, instead, spoilt
from carex_bitrix24.simulator.system_errors import refusal

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal


@dataclass(frozen=True)
class Request:
    """One HTTP request as the portal sees it."""

    number: int
    started: float
    scope: Scope
    headers: Headers
    body: bytes
    client: str
    address: Address | None

    @property
    def method(self) -> str:
        """The method asked for, or nothing if the path has none."""
        return self.address.method if self.address else ""

    @property
    def v3(self) -> bool:
        """Whether it came to the address of REST 3."""
        return self.address is not None and self.address.v3

    @property
    def query(self) -> str:
        """The query string, still encoded."""
        return str(self.scope["query_string"].decode("latin-1"))

    @property
    def url(self) -> str:
        """Where it was sent, without the query."""
        return f"{self.scope['scheme']}://{self.headers.get('host', '')}{self.scope['path']}"


class Door:
    """The ASGI application behind `/rest/`."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        body = await _read(receive)
        self.portal.ledger.requests += 1
        client = (scope.get("client") or ("", 0))[0]
        number, started = self.portal.ledger.requests, self.portal.now()
        request = Request(number, started, scope, Headers(scope=scope), body, client, parse_address(scope["path"]))
        answer = await self._answer(request, receive)
        await answer.send(scope, receive, send)

    async def _answer(self, request: Request, receive: Receive) -> Answer | Cut:
        portal = self.portal
        if not portal.buckets.of(request.client).take(request.started):
            portal.ledger.refusals += 1
            return self._refused(refusal("QUERY_LIMIT_EXCEEDED"), request)
        fault = portal.faults.pick(request.method, request.started, request.url)
        try:
            replay = self._replay(request)
        except Refusal as no:
            return self._refused(no, request)
        delay = portal.delay()
        await asyncio.sleep(delay / 2)
        answer = await self._faulty(fault, request, receive, replay) if fault else self._called(request, replay)
        await asyncio.sleep(delay / 2)
        return answer

    async def _faulty(self, fault: Fault, request: Request, receive: Receive, replay: Answer | None) -> Answer | Cut:
        outcome = f"fault:{fault.kind}"
        if not fault.lets_through:
            if fault.kind in ERRORS:
                return self._refused(fault_refusal(fault), request, outcome)
            self._note(request, outcome)
            if fault.kind == "hang":
                await receive()
            return instead(fault, request.scope["path"], request.query)
        if fault.kind == "late":
            # Carried out even if the client has given up by then: nobody tells a busy portal.
            await asyncio.sleep(fault.seconds)
        answer = self._called(request, replay)
        self._note(request, outcome)
        if fault.kind == "slow":
            await _pause(receive, fault.seconds)
        if fault.kind in ERRORS:
            return self._shaped(fault_refusal(fault), request)
        return spoilt(fault, answer)

    def _called(self, request: Request, replay: Answer | None = None) -> Answer:
        portal, method = self.portal, request.method
        try:
            if portal.require_https and request.scope["scheme"] != "https":
                raise refusal("INVALID_REQUEST")
            who = request.address and (request.address.user, request.address.secret)
            if who != (str(portal.user_id), portal.secret):
                raise refusal("NO_AUTH_FOUND")
            if replay is not None:
                self._note(request, "replayed")
                return replay
            params = _params(request)
            inside = method == "batch" and portal.batch_billing == "inner"
            reply = carry_out(portal, method, params, request.number, billed=not inside, v3=request.v3)
        except Refusal as no:
            return self._refused(no, request)
        except CutOff:
            self._note(request, "cut off")
            return html_answer(504, "Gateway Time-out")
        self._note(request, "OK")
        envelope: dict[str, Any] = {"result": reply.result}
        if reply.next is not None:
            envelope["next"] = reply.next
        if reply.total is not None:
            envelope["total"] = reply.total
        envelope["time"] = time_block(portal, method, request.started)
        answer = json_answer(envelope)
        key = self._key(request)
        return answer if key is None else portal.replays.keep(method, key, request.body, answer, portal.now())

    def _replay(self, request: Request) -> Answer | None:
        """Return the answer kept for this request's key, looked up when it comes, before it is carried out."""
        key = self._key(request)
        if key is None:
            return None
        return self.portal.replays.find(request.method, key, request.body, self.portal.now())

    def _key(self, request: Request) -> str | None:
        entry = self.portal.methods_v3.get(request.method) if request.v3 else None
        return request.headers.get("idempotency-key") if entry and entry.writes else None

    def _refused(self, no: Refusal, request: Request, outcome: str | None = None) -> Answer:
        self._note(request, no.code if outcome is None else outcome)
        return self._shaped(no, request)

    def _shaped(self, no: Refusal, request: Request) -> Answer:
        flat = not request.v3 or (no.system and self.portal.v3_system_errors == "flat")
        shape = no.old_shape() if flat else no.new_shape()
        if no.status == 429 and self.portal.counters_in_429:
            shape["time"] = time_block(self.portal, request.method, request.started)
        return json_answer(shape, no.status)

    def _note(self, request: Request, outcome: str) -> None:
        asked = Asked(request.number, request.started, request.client, request.method, outcome)
        self.portal.ledger.answered(asked)


def _params(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "")
    return read_v3_params(kind, request.body) if request.v3 else read_params(request.query, kind, request.body)


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
