"""The portal's outbound webhook: it tells that something was added, once, and proves itself with a token."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from carex import BadCall, Call, Task
from carex_bitrix24 import plugin
from carex_bitrix24.ids import read_id
from carex_bitrix24.settings import Settings

ADDED = {
    "ONCRMDEALADD": "deal",
    "ONCRMLEADADD": "lead",
    "ONCRMCONTACTADD": "contact",
    "ONCRMCOMPANYADD": "company",
}
"""Changes are not among them: our own would come back to us."""


@plugin.webhook("/Bitrix24Event")
def item_added(call: Call, settings: Settings) -> Task:
    """Have a new deal, lead, contact or company given to an employee; a robot's call about the same one is the same."""
    expected = settings.application_token
    if expected is None:
        raise BadCall("auth", "set plugins.bitrix24.application_token to the token of the portal's outbound webhook")
    token = str(_inside(call.form, "auth").get("application_token", ""))
    if not hmac.compare_digest(token.encode(), expected.get_secret_value().encode()):
        raise BadCall("auth", "the application_token is not the one in the settings")
    event = str(call.form.get("event", "")).upper()
    if event not in ADDED:
        raise BadCall("event", f"expected one of {', '.join(ADDED)}, got {event!r:.60}")
    try:
        id = read_id(_inside(_inside(call.form, "data"), "FIELDS").get("ID"))
    except ValueError as error:
        raise BadCall("data", str(error)) from None
    return assignment(ADDED[event], id, source="event")


def assignment(name: str, id: int, *, source: str, **more: Any) -> Task:
    """The task of giving away an item. Whoever asks for it, robot, event or a person, it is the same one."""
    return Task("bitrix_assign", {f"{name}_id": id, **more}, key=f"bitrix_assign:{_key(name, id)}", source=source)


def _key(name: str, id: int) -> str:
    return str(id) if name == "deal" else f"{name}:{id}"


def _inside(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}
