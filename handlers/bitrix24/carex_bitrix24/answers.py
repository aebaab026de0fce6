"""What an answer of the portal means: one pure function over the status and the body.

Sources: the vendor's list of system errors and its clients. They disagree on statuses, so the code in the body comes
first and the status second; codes are compared without regard to case. REST 2 has `error` as text, REST 3 as a map.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


class Kind(Enum):
    """What an answer says about the call. "Outcome unknown": it may have been carried out."""

    DONE = auto()
    LIMITED = auto()
    """Too many requests for now; the call was not carried out."""
    PARKED = auto()
    """This method has used up its working time of ten minutes; others go on."""
    BLOCKED = auto()
    """The vendor blocked the portal by hand; insisting makes it worse."""
    UNSENT = auto()
    """No connection; the call was not carried out."""
    OUTAGE = auto()
    """No answer, or none of Bitrix24's; outcome unknown."""
    CRASHED = auto()
    """Bitrix24 itself reports an internal error; outcome unknown."""
    MISCONFIGURED = auto()
    """Nothing of this kind will work until a person changes a setting, on the portal or here."""
    HELD = auto()
    """Not sent, because it is known what would come of it; or the line is too long."""
    MISSING = auto()
    """There is no such item."""
    DENIED = auto()
    """The webhook's owner may not do this to this item."""
    INVALID = auto()
    """The portal refuses what was sent."""


@dataclass(frozen=True)
class Verdict:
    """An answer, understood. `resets_at` (Unix seconds) is when the method's used working time begins to expire."""

    kind: Kind
    reason: str = ""
    result: Any = None
    resets_at: float | None = None
    next: int | None = None
    """Where the next page of a list starts, if there is one."""
    total: int | None = None
    """How many rows the whole list has, if the portal counted."""
    whole: bool = False
    """What is wrong is wrong with every call, not with this method."""
    alone: bool = False
    """The portal takes this call only outside of a batch; it was not carried out."""
    delay: float = 0.0
    """Seconds after which it makes sense to come again."""


_WHOLE = frozenset(
    {
        "no_auth_found",
        "invalid_credentials",
        "invalid_token",
        "expired_token",
        "authorization_error",
        "user_access_error",
        "allowed_only_intranet_user",
        "payment_required",
        "application_not_found",
        "not_installed",
        "portal_deleted",
        "invalid_request",
    }
)
_SCOPE = "the permission (scope) of this method"
_SCOPES = {"user": "user_brief", "tasks": "task", "profile": "user_brief"}
"""The scope that opens a method, where it is not the first part of its name."""
_SECRET = "the webhook is not accepted: compare WEBHOOK_CAREX with the portal's inbound webhook"  # noqa: S105 - a sentence
_FIXES = {
    "no_auth_found": _SECRET,
    "invalid_credentials": _SECRET,
    "invalid_token": _SECRET,
    "expired_token": f"{_SECRET}; it may have expired",
    "authorization_error": _SECRET,
    "insufficient_scope": f"the webhook lacks {_SCOPE}: add it on the portal",
    "user_access_error": "the webhook's owner may not use REST: create the webhook as another employee",
    "allowed_only_intranet_user": "the webhook's owner is no employee: create the webhook as an employee",
    "wrong_auth_type": "this method cannot be called through a webhook",
    "method_confirm_waiting": "an administrator of the portal has to allow this method",
    "method_confirm_denied": "an administrator of the portal has denied this method",
    "payment_required": "the portal's plan does not include this",
    "application_not_found": "the webhook no longer exists: create one and set WEBHOOK_CAREX",
    "not_installed": "the webhook no longer exists: create one and set WEBHOOK_CAREX",
    "portal_deleted": "the portal was deleted: set WEBHOOK_CAREX to the one in use",
    "invalid_request": "the portal refuses the address: WEBHOOK_CAREX must begin with https://",
    "error_method_not_found": "the portal does not know this method: is the module switched on, and the portal recent?",
}
_KINDS = {
    **dict.fromkeys(_FIXES, Kind.MISCONFIGURED),
    "query_limit_exceeded": Kind.LIMITED,
    "operation_time_limit": Kind.PARKED,
    "overload_limit": Kind.BLOCKED,
    "internal_server_error": Kind.CRASHED,
    "error_unexpected_answer": Kind.CRASHED,
    "not_found": Kind.MISSING,
    "owner_not_found": Kind.MISSING,
    "access_denied": Kind.DENIED,
    "100": Kind.INVALID,
    "error_core": Kind.INVALID,
    "invalid_arg_value": Kind.INVALID,
}
# Where the code does not decide, the status does; statuses that are not here mean a refusal of what was sent.
_STATUSES = {
    401: Kind.MISCONFIGURED,
    403: Kind.MISCONFIGURED,
    429: Kind.LIMITED,
    500: Kind.CRASHED,
}


def classify(status: int, body: Any) -> Verdict:
    """Understand an answer. `body` is the decoded JSON, or the text if it is no JSON."""
    if isinstance(body, Mapping) and "result" in body and not body.get("error") and status < 300:
        return Verdict(
            Kind.DONE,
            result=body["result"],
            resets_at=_resets_at(body),
            next=_whole(body, "next"),
            total=_whole(body, "total"),
        )
    if isinstance(body, Mapping) and body.get("error") is not None:
        return _refusal(status, *_code_and_text(body))
    return _stranger(status, body)


def _refusal(status: int, code: str, text: str) -> Verdict:
    kind = _kind(status, code.lower(), text.lower())
    said = " ".join(part for part in (code, text) if part) or f"status {status}, without a word"
    if kind is Kind.MISCONFIGURED and code.lower() in _FIXES:
        said = f"{_FIXES[code.lower()]} ({said})"
    return Verdict(kind, said, whole=code.lower() in _WHOLE, alone=code.lower() == "error_batch_method_not_allowed")


def _kind(status: int, code: str, text: str) -> Kind:
    if code == "access_denied" and ("commercial" in text or "application context" in text):
        return Kind.MISCONFIGURED
    if code in _KINDS:
        return _KINDS[code]
    if "entitynotfound" in code or (not code and "not found" in text):
        return Kind.MISSING
    if "accessdenied" in code or (not code and "access denied" in text):
        return Kind.DENIED
    if code.startswith(("crm_field_error", "error_batch")) or "validation" in code:
        return Kind.INVALID
    return _STATUSES.get(status, Kind.OUTAGE if status > 500 or status == 408 else Kind.INVALID)


def _stranger(status: int, body: Any) -> Verdict:
    """An answer that is not Bitrix24's: a web server's page, half a body, a login form."""
    said = f"status {status}, not an answer of Bitrix24: {_title(body) or 'an empty body'}"
    if 300 <= status < 400:
        reason = f"the portal redirects to another page; check WEBHOOK_CAREX ({said})"
        return Verdict(Kind.MISCONFIGURED, reason, whole=True)
    if status == 429:
        return Verdict(Kind.LIMITED, said)
    if status in (413, 414):
        return Verdict(Kind.INVALID, said)
    if 400 <= status < 500 and status != 408:
        reason = f"the web server turns the call away; check WEBHOOK_CAREX ({said})"
        return Verdict(Kind.MISCONFIGURED, reason, whole=True)
    return Verdict(Kind.OUTAGE, said)


def _code_and_text(body: Mapping[str, Any]) -> tuple[str, str]:
    error = body["error"]
    if isinstance(error, Mapping):
        details = [
            f"{each.get('field', '')}: {each.get('message', '')}"
            for each in error.get("validation") or ()
            if isinstance(each, Mapping)
        ]
        return str(error.get("code", "")), plain("; ".join([str(error.get("message", "")), *details]))
    code = "" if error in (0, "0", False) else plain(str(error))  # old methods have no code, or a nought for one
    return code, plain(str(body.get("error_description") or ""))


def _resets_at(body: Mapping[str, Any]) -> float | None:
    time = body.get("time")
    found = time.get("operating_reset_at") if isinstance(time, Mapping) else None
    return float(found) if isinstance(found, (int, float)) else None


def _whole(body: Mapping[str, Any], name: str) -> int | None:
    found = body.get(name)
    return int(found) if isinstance(found, (int, str)) and str(found).isdigit() else None


def _title(body: Any) -> str:
    text = body if isinstance(body, str) else "" if body is None else repr(body)
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return plain(title[1] if title else text)


def named(reason: str, method: str) -> str:
    """The reason with the scope that this method needs, if that is what is lacking."""
    area = method.partition(".")[0]
    return reason.replace(_SCOPE, f"the permission (scope) {_SCOPES.get(area, area)}")


def plain(text: str) -> str:
    """The portal's text as one line without HTML."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>", " ", text)).split())
