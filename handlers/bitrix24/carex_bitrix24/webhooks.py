"""The calls of the portal's robots.

A robot sends a form with `document_id[2]=DEAL_123`, and whatever its author wrote into the address, such as
`?deal_id={{ID}}&cont_id={{Contact: ID}}`, where a placeholder may be left as it is. It calls once and never again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from carex import BadCall, Call, Task
from carex_bitrix24 import plugin
from carex_bitrix24.crm import NAMES
from carex_bitrix24.events import assignment
from carex_bitrix24.ids import is_blank, read_contacts, read_id, read_person

T = TypeVar("T")


@plugin.webhook("/CarexRandom", may_be_open=True)
@plugin.webhook("/CompanyRandom", may_be_open=True)
def random_deal(call: Call) -> Task:
    """Have a deal, or another item that the robot stands on, given to a random available employee."""
    name, id = _subject(call)
    more: dict[str, Any] = {"cont_id": list(_contacts(call))} if name == "deal" else {}
    was = [_read("was", read_person, value) for _, value in _values(call, "was")]
    if was:
        more["was"] = was[0]
    return assignment(name, id, source="robot", **more)


def _subject(call: Call) -> tuple[str, int]:
    """The item that the address, the body and the document agree on."""
    said = {
        where: (name, _read(f"{name}_id", read_id, value))
        for name in NAMES
        for where, value in _values(call, f"{name}_id")
    }
    document = _document(call)
    if document is not None:
        said["document_id"] = document
    if not said:
        raise BadCall("deal_id", "expected a positive whole number such as 123, got nothing")
    if len(set(said.values())) > 1:
        different = ", ".join(f"{name} {id} in {where}" for where, (name, id) in said.items())
        raise BadCall("deal_id", f"two different items: {different}")
    return next(iter(said.values()))


def _contacts(call: Call) -> tuple[int, ...]:
    for _, value in _values(call, "cont_id"):
        return _read("cont_id", read_contacts, value)
    return ()


def _values(call: Call, name: str) -> list[tuple[str, Any]]:
    """Where a parameter says something, and what; empty ones and placeholders say nothing."""
    places = {"the address": call.query, "the form": call.form, "the JSON": _json(call)}
    found = [(where, place.get(name)) for where, place in places.items()]
    return [(where, value) for where, value in found if not is_blank(value)]


def _json(call: Call) -> Mapping[str, Any]:
    if call.json is None:
        return {}
    if not isinstance(call.json, Mapping):
        raise BadCall("body", 'expected a JSON object such as {"deal_id": 123}')
    return call.json


def _read(field: str, read: Callable[[Any], T], value: Any) -> T:
    try:
        return read(value)
    except ValueError as error:
        raise BadCall(field, str(error)) from None


def _document(call: Call) -> tuple[str, int] | None:
    """The item of `document_id[2]`, which a robot always sends; None if there is no such field."""
    places = (call.form, call.query, _json(call))
    document = next((place["document_id"] for place in places if "document_id" in place), None)
    # PHP's brackets make a list or a map of it, depending on who decodes them.
    if isinstance(document, Mapping):
        name = document.get("2", document.get(2))
    else:
        name = document[2] if isinstance(document, list) and len(document) > 2 else document
    if is_blank(name):
        return None
    found = re.fullmatch(r"(DEAL|LEAD|CONTACT|COMPANY)_([0-9]+)", name) if isinstance(name, str) else None
    if found is None:
        raise BadCall("document_id", f"expected a deal, lead, contact or company such as DEAL_123, got {name!r:.40}")
    return found[1].lower(), _read("document_id", read_id, found[2])
