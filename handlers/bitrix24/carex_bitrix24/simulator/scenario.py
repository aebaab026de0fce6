"""Scenarios: a portal's state written as JSON, to set it up and to look at it from another process.

{"employees": [{"id": 3, "active": false}],
 "items": [{"entityTypeId": 2, "id": 7, "fields": {"title": "Big one", "contactIds": [5]}},
           {"entityTypeId": 2, "id": 8, "missing": true}],
 "faults": [{"kind": "html_502", "method": "crm.item.*", "count": 2}],
 "scopes": ["crm", "user_brief"]}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from carex_bitrix24.simulator.faults import Fault

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal

_PARTS = frozenset({"employees", "items", "faults", "scopes"})


def apply(portal: Portal, given: Mapping[str, Any]) -> None:
    """Bring the portal into a state; raise ValueError, TypeError or KeyError, and change nothing, on unknown words."""
    unknown = set(given) - _PARTS
    if unknown:
        raise ValueError(f"unknown part {', '.join(sorted(unknown))}; a scenario has {', '.join(sorted(_PARTS))}")
    faults = [Fault(**fault) for fault in given.get("faults", [])]
    for person in given.get("employees", []):
        changes = {name: value for name, value in person.items() if name != "id"}
        if "absences" in changes:
            changes["absences"] = tuple((start, end) for start, end in changes["absences"])
        portal.set_employee(int(person["id"]), **changes)
    for item in given.get("items", []):
        _apply_item(portal, item)
    portal.faults.add(*faults)
    if "scopes" in given:
        portal.scopes = set(given["scopes"])


def _apply_item(portal: Portal, given: Mapping[str, Any]) -> None:
    unknown = set(given) - {"entityTypeId", "id", "fields", "missing", "denied"}
    if unknown:
        raise ValueError(f"unknown word {', '.join(sorted(unknown))}")
    key = (int(given["entityTypeId"]), int(given["id"]))
    for word, ids in (("missing", portal.missing), ("denied", portal.denied)):
        if given.get(word):
            ids.add(key)
        elif word in given:
            ids.discard(key)
    if "fields" in given or not {"missing", "denied"} & set(given):
        portal.add_item(*key, **given.get("fields", {}))


def state(portal: Portal) -> dict[str, Any]:
    """Return what is on the portal now."""
    return {
        "now": portal.now(),
        "items": [
            {"entityTypeId": item.entity_type_id, "id": item.id, "assignedById": item.values["assignedById"]}
            for item in portal.items
        ],
        "employees": [dataclasses.asdict(person) for person in portal.employees.values()],
        "faults": [{**dataclasses.asdict(fault), "count": left} for fault, left in portal.faults.left()],
        "comments": [dataclasses.asdict(comment) for comment in portal.comments],
        "notifications": [dataclasses.asdict(one) for one in portal.notifications.values()],
        "requests": portal.ledger.requests,
        "refusals": portal.ledger.refusals,
        "changes": len(portal.ledger),
    }


def ledger(portal: Portal, entity_type_id: int) -> dict[str, Any]:
    """Return what has been done to the portal."""
    book = portal.ledger
    return {
        "changes": [dataclasses.asdict(change) for change in book],
        "given_to_two": {str(item): people for item, people in book.given_to_two(entity_type_id).items()},
        "shares": {str(user): count for user, count in book.shares(entity_type_id).items()},
        "calls": [{"method": method, "outcome": outcome, "count": n} for (method, outcome), n in book.calls.items()],
        "batched": [
            {"method": method, "outcome": outcome, "count": n} for (method, outcome), n in book.batched.items()
        ],
        "requests": book.requests,
        "refusals": book.refusals,
    }
