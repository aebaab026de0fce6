"""`batch`: up to fifty commands in one request, one after the other, later ones may use earlier results."""

import re
from typing import Any

from carex_bitrix24.simulator.call import Call, Refusal, Reply, truth
from carex_bitrix24.simulator.dispatch import carry_out, time_block
from carex_bitrix24.simulator.phpform import as_map, decode_query, php_json
from carex_bitrix24.simulator.spoilt import fault_refusal

LONGEST = 50
_REFERENCE = re.compile(r"\$result((?:\[[^\[\]]*\])+)")


class CutOff(Exception):
    """The request has taken too long: what is done is done, the rest is not, and nobody says which is which."""


def run(call: Call) -> Reply:
    """Run all commands, or with halt=1 those up to the first failure; failures are told in the result."""
    commands = as_map(call.given("cmd"))
    halt = truth(call.given("halt", 0))
    answer: dict[str, dict[str, Any]] = {name: {} for name in ("result", "error", "total", "next", "time")}
    spent = 0.0
    for number, (name, command) in enumerate(commands.items()):
        method, _, query = str(command).partition("?")
        started = call.portal.now()
        spent += call.portal.cost(method)
        if spent > call.portal.longest_request:
            raise CutOff
        try:
            if number >= LONGEST:
                raise Refusal("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
            fault = call.portal.faults.pick(method, started, inside=True)
            if fault:
                raise fault_refusal(fault)
            reply = _command(call, method, query, answer["result"])
        except Refusal as refusal:
            call.portal.ledger.batched[method, refusal.code] += 1
            answer["error"][name] = refusal.old_shape()
            if halt:
                break
            continue
        call.portal.ledger.batched[method, "OK"] += 1
        answer["result"][name] = reply.result
        answer["time"][name] = time_block(call.portal, method, started)
        if reply.total is not None:
            answer["total"][name] = reply.total
        if reply.next is not None:
            answer["next"][name] = reply.next
    return Reply(
        {
            "result": php_json(answer["result"]),
            # Errors are merged as PHP merges arrays: numeric names are numbered anew and so get lost.
            "result_error": php_json(_renumbered(answer["error"])),
            "result_total": php_json(answer["total"]),
            "result_next": php_json(answer["next"]),
            "result_time": php_json(answer["time"]),
        }
    )


def _command(call: Call, method: str, query: str, earlier: dict[str, Any]) -> Reply:
    if method.removesuffix(".json") == "batch":
        raise Refusal("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage", 405)
    portal = call.portal
    params = {name: substituted(value, earlier) for name, value in decode_query(query).items()}
    inner = portal.batch_billing == "inner"
    reply = carry_out(portal, method, params, call.request_no, billed=inner)
    if not inner and portal.operating.limit is not None:
        portal.operating.charge("batch", portal.now(), portal.cost(method))
    return reply


def substituted(value: Any, earlier: dict[str, Any]) -> Any:
    """Replace `$result[name][field]` by what the earlier command gave; nothing there gives an empty string."""
    if isinstance(value, dict):
        return {name: substituted(item, earlier) for name, item in value.items()}
    if isinstance(value, list):
        return [substituted(item, earlier) for item in value]
    text = str(value)
    entire = _REFERENCE.fullmatch(text)
    if entire:
        return _follow(entire[1], earlier)
    return _REFERENCE.sub(lambda found: _text(_follow(found[1], earlier)), text)


def _follow(path: str, earlier: dict[str, Any]) -> Any:
    node: Any = earlier
    for step in re.findall(r"\[([^\[\]]*)\]", path):
        if not isinstance(node, dict | list):
            return ""
        node = as_map(node).get(step.strip("'\""))
    return "" if node is None else node


def _text(value: Any) -> str:
    return "" if isinstance(value, dict | list) else str(value)


def _renumbered(errors: dict[str, Any]) -> dict[str, Any]:
    renumbered: dict[str, Any] = {}
    numbers = iter(range(len(errors)))
    for name, error in errors.items():
        renumbered[str(next(numbers)) if name.isdecimal() else name] = error
    return renumbered
