"""Scenarios: a portal's state written as JSON, to set it up and to look at it from another process.

{"employees": [{"id": 3, "active": false}],
 "items": [{"entityTypeId": 2, "id": 7, "fields": {"title": "Big one", "contactIds": [5]}},
           {"entityTypeId": 2, "id": 8, "missing": true}],
 "faults": [{"kind": "html_502", "method": "crm.item.*", "count": 2}],
 "meanwhile": [{"method": "crm.item.get", "values": {"assignedById": 5}}],
 "subscriptions": [{"url": "http://127.0.0.1:8000/in/T/CarexRandom?deal_id={{ID}}", "robot": true}],
 "by_hand": [{"entityTypeId": 2, "id": 7, "fields": {"stageId": "WON"}}],
 "scopes": ["crm", "user_brief"]}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from carex_bitrix24.simulator.events import Subscription
from carex_bitrix24.simulator.faults import Fault
from carex_bitrix24.simulator.meanwhile import Meanwhile

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal

_PARTS = frozenset({"employees", "items", "faults", "meanwhile", "subscriptions", "by_hand", "scopes"})


def apply(portal: Portal, given: Mapping[str, Any]) -> None:
    """Bring the portal into a state; raise ValueError, TypeError or KeyError, and change nothing, on unknown words."""
    unknown = set(given) - _PARTS
    if unknown:
        raise ValueError(f"unknown part {', '.join(sorted(unknown))}; a scenario has {', '.join(sorted(_PARTS))}")
    faults = [Fault(**fault) for fault in given.get("faults", [])]
    meanwhile = [Meanwhile(**one) for one in given.get("meanwhile", [])]
    subscriptions = [_subscription(one) for one in given.get("subscriptions", [])]
    for person in given.get("employees", []):
        changes = {name: value for name, value in person.items() if name != "id"}
        if "absences" in changes:
            changes["absences"] = tuple((start, end) for start, end in changes["absences"])
        portal.set_employee(int(person["id"]), **changes)
    for item in given.get("items", []):
        _apply_item(portal, item)
    portal.faults.add(*faults)
    portal.meanwhile.add(*meanwhile)
    portal.events.subscriptions.extend(subscriptions)
    for one in given.get("by_hand", []):
        portal.by_hand(int(one["entityTypeId"]), int(one["id"]), **one["fields"])
    if "scopes" in given:
        portal.scopes = set(given["scopes"])


def _subscription(given: Mapping[str, Any]) -> Subscription:
    options: dict[str, Any] = {name: tuple(value) if name == "events" else value for name, value in given.items()}
    return Subscription(**options)


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
        "tasks": [{"id": task.id, **task.values} for task in portal.tasks.all()],
        "events": [{"event": name, "status": status, "count": n} for (name, status), n in portal.events.posted.items()],
        "requests": portal.ledger.requests,
        "refusals": portal.ledger.refusals,
        "changes": len(portal.ledger),
    }


def ledger(portal: Portal, entity_type_id: int) -> dict[str, Any]:
    """Return what has been done to the portal."""
    book = portal.ledger
    return {
        "changes": [dataclasses.asdict(change) for change in book],
        "created": [dataclasses.asdict(thing) for thing in book.created],
        "created_twice": book.created_twice(),
        "given_to_two": {str(item): people for item, people in book.given_to_two(entity_type_id).items()},
        "shares": {str(user): count for user, count in book.shares(entity_type_id).items()},
        "calls": [{"method": method, "outcome": outcome, "count": n} for (method, outcome), n in book.calls.items()],
        "batched": [
            {"method": method, "outcome": outcome, "count": n} for (method, outcome), n in book.batched.items()
        ],
        "requests": book.requests,
        "refusals": book.refusals,
    }


def log(portal: Portal, after: int) -> dict[str, Any]:
    """Return the requests with a number above `after`, in the order they were answered."""
    return {"log": [dataclasses.asdict(asked) for asked in portal.ledger.log if asked.number > after]}
