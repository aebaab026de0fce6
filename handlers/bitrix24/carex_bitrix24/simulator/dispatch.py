"""From the name of a method to its reply: scopes, operating time, and the `time` that every answer carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carex_bitrix24.simulator.call import Call, Refusal, Reply

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal


def carry_out(
    portal: Portal, method: str, params: dict[str, Any], request_no: int, *, billed: bool = True, v3: bool = False
) -> Reply:
    """Run a method, or raise Refusal. `billed` says whether the method's own operating time counts."""
    entry = (portal.methods_v3 if v3 else portal.methods).get(method)
    if entry is None:
        raise Refusal("METHOD_NOT_FOUND" if v3 else "ERROR_METHOD_NOT_FOUND", "Method not found!", 404)
    if entry.scopes and not entry.scopes & portal.scopes:
        text = "The request requires higher privileges than provided by the webhook token"
        raise Refusal("insufficient_scope", text, 403)
    if billed and portal.operating.limit is not None:
        now = portal.now()
        if not portal.operating.allows(method, now):
            raise time_limit()
        portal.operating.charge(method, now, portal.cost(method))
    return entry.run(Call(portal, method, params, request_no))


def time_limit() -> Refusal:
    """Return the refusal of a method that has used up its operating time; it does not say until when."""
    return Refusal("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", 429)


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
