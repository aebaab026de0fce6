"""What the engine's answer to a call means. Its status alone does not tell."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

from carex.errors import CarexError, ConfigError, NotFound, Refused, Unreachable

LONGEST_MESSAGE = 4000


class Verdict(Enum):
    """What to make of an answer."""

    DONE = "done"
    LOST_LOCK = "lost lock"
    """Another worker holds the task, or the lock ran out before it could be prolonged."""
    UNLOCKED = "unlocked"
    """Nobody holds the task: somebody unlocked it. Lock it again to go on."""
    GONE = "gone"
    """No such task, instance or definition: of an external task, done already or cancelled."""
    BAD_INPUT = "bad input"
    """The engine will never take this."""
    SUSPENDED = "suspended"
    """The task is suspended; it can go on when somebody activates it."""
    RACE = "race"
    """The engine stumbled over this one call: another one changed the same thing, or the database refused it. Look at
    the task: if that fails too it is an outage; if the task is there, try a few times, and then it is bad input."""
    CONFIGURATION = "configuration"
    """A wrong address, user or right: nothing gets better before a person acts."""
    OUTAGE = "outage"
    """The engine does not answer, or cannot work now."""


@dataclass(frozen=True)
class Answer:
    """A verdict with what the engine said, for people."""

    verdict: Verdict
    message: str = ""

    @property
    def refuses_json(self) -> bool:
        """Return True if the engine takes no variables of type Json (it has not the Spin plugin)."""
        return self.verdict is Verdict.BAD_INPUT and "Unsupported value type 'json'" in self.message.replace("J", "j")


class EngineError(CarexError):
    """The engine did not do it; `answer` says what that means. `call` is the REST call's name."""

    def __init__(self, call: str, answer: Answer) -> None:
        super().__init__(f"{call}: {answer.message or answer.verdict.value}", _HINTS.get(answer.verdict))
        self.call = call
        self.answer = answer
        self.exit_code = _EXIT_CODES.get(answer.verdict, CarexError.exit_code)


_EXIT_CODES = {
    Verdict.GONE: NotFound.exit_code,
    Verdict.LOST_LOCK: Refused.exit_code,
    Verdict.UNLOCKED: Refused.exit_code,
    Verdict.SUSPENDED: Refused.exit_code,
    Verdict.CONFIGURATION: ConfigError.exit_code,
    Verdict.OUTAGE: Unreachable.exit_code,
}
_HINTS = {
    Verdict.CONFIGURATION: "Check CAMUNDA_BASE_URL (it ends, as a rule, in /engine-rest), CAMUNDA_AUTH_USERNAME, "
    "CAMUNDA_AUTH_PASSWORD and the user's rights.",
    Verdict.OUTAGE: "Is the engine up, and is CAMUNDA_BASE_URL right?",
}

ON_A_TASK = frozenset({"complete", "failure", "bpmnError", "extendLock", "lock", "unlock"})
"""Calls about one external task, for which a race is possible."""

_LOCKED_BY = re.compile(r"locked by worker '(.*?)'")
_EXPIRED = re.compile(r"[Cc]annot extend a lock that expired")
_SUSPENDED = re.compile(r"ENGINE-03043|is suspended")
_NO_ENGINE = re.compile(r"[Nn]o process engine")
_NULL_ARGUMENT = re.compile(r"(?:workerId|errorCode|variableName|[Ii]d) is null")
_OUTAGES = re.compile(r"Connection|Transaction|SQL|Timeout|Persistence|DataAccess|OutOfMemory|Rejected|Shutdown")
_STUMBLES = re.compile(rf"OptimisticLocking|NullValue|NullPointer|Deadlock|Concurren|{_OUTAGES.pattern}")
_TOO_LONG, _CLASH, _DEADLOCK = 10002, 10001, 10000
"""The engine's codes for what the database refused: a value too long, a broken reference, a deadlock."""


def classify(status: int, content_type: str, body: bytes, *, call: str) -> Answer:
    """Say what an answer means. `call` is the REST call's name in Camunda's words, as in `complete`.

    Facts tried on Operaton 1.0.3 and Camunda 7.24.0; both word their errors alike.
    """
    if 200 <= status < 300:
        if "html" in content_type:
            return Answer(Verdict.CONFIGURATION, "a web page came instead of an answer of the engine")
        return Answer(Verdict.DONE)
    error = _error(content_type, body)
    message = error.message or f"HTTP {status}"
    if status in (401, 403):
        return Answer(Verdict.CONFIGURATION, error.message or _REFUSED[status])
    if status in (408, 429, 502, 503, 504):
        return Answer(Verdict.OUTAGE, message)
    if error.type is None and (status < 500 and status not in (400, 413, 422)):
        return Answer(Verdict.CONFIGURATION, f"nothing of the engine is at this address (HTTP {status})")
    if status == 404:
        unknown_path = error.type == "NotFoundException"
        return Answer(Verdict.CONFIGURATION if unknown_path else Verdict.GONE, message)
    if status < 500:
        return Answer(_refused(message, call), message)
    return Answer(_failed(error, call), message)


_REFUSED = {
    401: "the engine does not know this user or password (HTTP 401)",
    403: "this user may not do that (HTTP 403)",
}


@dataclass(frozen=True)
class _Error:
    """The engine's error form; `type` is None when the body is something else."""

    type: str | None
    message: str
    code: int | None


def _error(content_type: str, body: bytes) -> _Error:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("type"), str):
        code = found.get("code")
        message = found.get("message") or found["type"]
        return _Error(found["type"], str(message)[:LONGEST_MESSAGE], code if isinstance(code, int) else None)
    text = "" if "html" in content_type or isinstance(found, dict) else body.decode("utf-8", "replace").strip()
    return _Error(None, text[:LONGEST_MESSAGE], None)


def _refused(message: str, call: str) -> Verdict:
    owner = _LOCKED_BY.search(message)
    if owner and call in ON_A_TASK:
        return Verdict.UNLOCKED if owner[1] == "null" else Verdict.LOST_LOCK
    if _EXPIRED.search(message):
        return Verdict.LOST_LOCK
    if _SUSPENDED.search(message):
        return Verdict.SUSPENDED
    if _NO_ENGINE.search(message):
        return Verdict.CONFIGURATION
    return Verdict.BAD_INPUT


def _failed(error: _Error, call: str) -> Verdict:
    """Say what a 500 means. One that only this call meets must not look like an outage of the whole engine."""
    if error.code == _TOO_LONG or _NULL_ARGUMENT.search(error.message):
        return Verdict.BAD_INPUT
    stumbled = error.type is None or error.code in (_CLASH, _DEADLOCK) or _STUMBLES.search(error.type)
    if stumbled and call in ON_A_TASK:
        return Verdict.RACE
    away = error.type is None or _OUTAGES.search(error.type) or (stumbled and call == "fetchAndLock")
    return Verdict.OUTAGE if away else Verdict.BAD_INPUT
