"""The messages between the engine's side and whoever does the work: a published contract.

A task message carries an external task to a system, a response message carries back how it ended. Their JSON Schemas
lie beside this file; `carex camunda schema` prints them. Whoever can speak AMQP may answer, with Carex or without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from carex.camunda import variables
from carex.task import BpmnError, Done, Outcome, Retry, Task, Wait

if TYPE_CHECKING:
    from carex.queue import Delivery
    from carex.rabbitmq.message import Incoming

LARGEST_TASK = 16 * 1024 * 1024
LARGEST_RESPONSE = 1024 * 1024
"""Bytes of a message's body."""
DEEPEST = 50
"""Levels of nesting in a body; a variable's own value is allowed fewer."""
WINDOW = 86400.0
"""Seconds after its end in which an external task that comes again is the same work."""
LONGEST_TIMEOUT_MS = 366 * 86_400_000
LONGEST_CODE = 255
LONGEST_REASON = 100_000

Kind = Literal["complete", "failure", "bpmn_error"]
KINDS: tuple[Kind, ...] = ("complete", "failure", "bpmn_error")
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Malformed(ValueError):
    """Nobody can use this message; `reason` says why, for the queue of dead ones."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Response:
    """How an external task ended, says a message. `unfit` names the variables that no engine would take."""

    task_id: str
    kind: Kind
    worker_id: str | None = None
    variables: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()
    error_message: str = ""
    error_details: str = ""
    error_code: str = ""
    retries: int | None = None
    retry_timeout_ms: int | None = None


def schema(name: Literal["task", "response"]) -> dict[str, Any]:
    """The JSON Schema of a message."""
    text = Path(__file__).with_name(f"{name}.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def task_body(task: Mapping[str, Any]) -> bytes:
    """The body of the task message for an external task as the engine fetched it."""
    body = {
        "task_id": task["id"],
        "topic": task["topicName"],
        "worker_id": task.get("workerId"),
        "variables": {name: _carried(each) for name, each in (task.get("variables") or {}).items()},
        "business_key": task.get("businessKey"),
        "process_instance_id": task.get("processInstanceId"),
        "process_definition_key": task.get("processDefinitionKey"),
        "activity_id": task.get("activityId"),
        "retries": task.get("retries"),
        "priority": task.get("priority", 0),
        "tenant_id": task.get("tenantId"),
        "created": task.get("createTime"),
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def to_task(incoming: Incoming) -> Task:
    """The task that a task message stands for. Raises Malformed."""
    body = _read(incoming.body, LARGEST_TASK)
    if b"\\u" in incoming.body:
        _check_characters(body)
    task_id, topic = _task_id(body), body.get("topic", incoming.type)
    if not isinstance(topic, str) or not 0 < len(topic) <= 255:
        raise Malformed("topic must be text of 1 to 255 characters")
    given = body.get("variables") or {}
    if not isinstance(given, dict):
        raise Malformed("variables must be an object {name: {value, type}}")
    # The worker that Carex replaces sent the values alone, and such messages may still wait in a queue.
    given = {name: each if _is_typed(each) else {"value": each} for name, each in given.items()}
    reply = {
        "task_id": task_id,
        "topic": topic,
        "worker_id": _text(body, "worker_id", 255) or None,
        "retries": _number(body, "retries", (1 << 31) - 1),
        "reply_to": incoming.reply_to,
    }
    payload = variables.plain(given)
    return Task(topic, payload, key=task_id, window=WINDOW, source="rabbitmq", reply=reply)


def answer_of(delivery: Delivery, outcome: Outcome, attempts: int, backoff: Callable[[int], float]) -> str | None:
    """The response message that tells the engine how an attempt ended; None if nobody waits for one.

    The engine owns the retries: `attempts` is how many a new task has, and `backoff` says how many seconds to wait
    after which one of them, where the outcome does not.
    """
    reply = delivery.task.reply
    if reply is None:
        return None
    head = {"task_id": reply["task_id"], "worker_id": reply.get("worker_id")}
    left = reply.get("retries")
    try:
        text = _dump({**head, **_told(outcome, left if left is not None else attempts, attempts, backoff)})
    except ValueError as error:
        return _dump({**head, **_failed(f"The answer cannot be put into a message: {error}", 0)})
    if len(text.encode("utf-8", "replace")) > LARGEST_RESPONSE:
        return _dump({**head, **_failed(f"The answer is larger than {LARGEST_RESPONSE} bytes.", 0)})
    return text


def parse_response(body: bytes) -> Response:
    """Read a response message. Raises Malformed. What stands in it besides the known names is ignored."""
    found = _read(body, LARGEST_RESPONSE)
    task_id, kind = _task_id(found), found.get("response_type")
    if kind not in KINDS:
        raise Malformed(f"response_type is {_short(kind)}, not one of {', '.join(KINDS)}")
    code = _text(found, "error_code", LONGEST_CODE)
    if kind == "bpmn_error" and not code:
        raise Malformed("a bpmn_error needs its error_code")
    good, unfit = variables.check(found.get("variables"))
    return Response(
        task_id,
        kind,
        _text(found, "worker_id", 255) or None,
        good,
        tuple(unfit),
        _text(found, "error_message", LARGEST_RESPONSE),
        _text(found, "error_details", LARGEST_RESPONSE),
        code,
        _number(found, "retries", (1 << 31) - 1),
        _number(found, "retry_timeout", LONGEST_TIMEOUT_MS),
    )


def _carried(variable: Mapping[str, Any]) -> dict[str, Any]:
    carried = {"value": variable.get("value"), "type": variable.get("type")}
    return {**carried, "valueInfo": variable["valueInfo"]} if variable.get("valueInfo") else carried


def _is_typed(variable: Any) -> bool:
    return isinstance(variable, dict) and ("value" in variable or variable.keys() <= variables.FORM)


def _told(outcome: Outcome, left: int, attempts: int, backoff: Callable[[int], float]) -> dict[str, Any]:
    if isinstance(outcome, Done):
        result = outcome.result
        found = {} if result is None else result if isinstance(result, Mapping) else {"result": result}
        return {"response_type": "complete", "variables": _typed(found)}
    if isinstance(outcome, BpmnError):
        if not 0 < len(outcome.code) <= LONGEST_CODE or "\0" in outcome.code:
            raise ValueError(f"an error code has 1 to {LONGEST_CODE} characters, not {_short(outcome.code)}")
        error = {"error_code": outcome.code, "error_message": _storable(outcome.reason)}
        return {"response_type": "bpmn_error", **error, "variables": _typed(outcome.variables)}
    if isinstance(outcome, Wait):
        return _failed(outcome.reason, max(left, 1), outcome.delay)
    if isinstance(outcome, Retry):
        delay = outcome.delay if outcome.delay is not None else backoff(max(attempts - left, 0) + 1)
        return _failed(outcome.reason, max(left - 1, 0), delay)
    return _failed(outcome.reason, 0)


def _failed(reason: str, retries: int, delay: float = 0.0) -> dict[str, Any]:
    timeout_ms = min(max(round(delay * 1000), 0), LONGEST_TIMEOUT_MS)
    head = {"response_type": "failure", "error_message": _storable(reason)}
    return {**head, "retries": retries, "retry_timeout": timeout_ms}


def _storable(reason: str) -> str:
    return reason[:LONGEST_REASON].replace("\0", "\ufffd")


def _typed(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Typed variables that the other side will take. Raises ValueError."""
    good, unfit = variables.check(variables.typed_all(values))
    if unfit:
        raise ValueError("; ".join(unfit))
    return good


def _dump(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def _read(body: bytes, largest: int) -> dict[str, Any]:
    """A JSON object, strictly: what two readers could understand differently is refused."""
    if len(body) > largest:
        raise Malformed(f"{len(body)} bytes are more than {largest}")
    try:
        found = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Malformed("this is not UTF-8") from None
    except RecursionError:
        raise Malformed(f"it is nested deeper than {DEEPEST}") from None
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"this is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Malformed("this is not a JSON object")
    if variables.depth(found) > DEEPEST:
        raise Malformed(f"it is nested deeper than {DEEPEST}")
    return found


def _check_characters(body: Mapping[str, Any]) -> None:
    """Half a character, which JSON can write and nothing can store, would come back for ever."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("it holds characters that are none") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise Malformed(f"{_short(next(name for name in names if names.count(name) > 1))} stands in it twice")
    return found


def _no_number(word: str) -> None:
    raise Malformed(f"{word} is not a number in JSON")


def _task_id(body: Mapping[str, Any]) -> str:
    task_id = body.get("task_id")
    if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
        raise Malformed(f"task_id is {_short(task_id)}, not the id of an external task")
    return task_id


def _text(body: Mapping[str, Any], name: str, longest: int) -> str:
    text = body.get(name)
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > longest:
        raise Malformed(f"{name} must be text of at most {longest} characters")
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise Malformed(f"{name} holds characters that are none")
    return text


def _number(body: Mapping[str, Any], name: str, largest: int) -> int | None:
    number = body.get(name)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= largest:
        raise Malformed(f"{name} must be a whole number from 0 to {largest}")
    return number


def _short(value: Any) -> str:
    return repr(value)[:60]
