"""From the name of a method to its reply: scopes, operating time, and the `time` that every answer carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carex_bitrix24.simulator.call import Call, Refusal, Reply
from carex_bitrix24.simulator.system_errors import refusal

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal


def carry_out(
    portal: Portal, method: str, params: dict[str, Any], request_no: int, *, billed: bool = True, v3: bool = False
) -> Reply:
    """Run a method, or raise Refusal. `billed` says whether the method's own operating time counts."""
    entry = (portal.methods_v3 if v3 else portal.methods).get(method)
    if entry is None:
        raise Refusal("METHODNOTFOUND", "Method not found!", 404) if v3 else refusal("ERROR_METHOD_NOT_FOUND")
    if entry.scopes and not entry.scopes & portal.scopes:
        known = refusal("insufficient_scope")
        raise Refusal("INSUFFICIENTSCOPE", known.text, known.status) if v3 else known
    if billed and portal.operating.limit is not None:
        now = portal.now()
        if not portal.operating.allows(method, now):
            raise refusal("OPERATION_TIME_LIMIT")
        portal.operating.charge(method, now, portal.cost(method))
    call = Call(portal, method, params, request_no)
    portal.meanwhile.act(portal, call, "before")
    reply = entry.run(call)
    portal.meanwhile.act(portal, call, "after")
    return reply


def time_block(portal: Portal, method: str, started: float) -> dict[str, Any]:
    """Return the `time` of an answer. Without operating limit, nothing is said about operating."""
    finished = portal.now()
    block: dict[str, Any] = {
        "start": portal.unix(started),
        "finish": portal.unix(finished),
        "duration": finished - started,
        "processing": finished - started,
        "date_start": portal.iso(started),
        "date_finish": portal.iso(finished),
    }
    if portal.operating.limit is not None:
        block["operating_reset_at"] = int(portal.unix(portal.operating.resets_at(method, finished)))
        block["operating"] = portal.operating.used(method, finished)
    return block
