"""`crm.lead.*`, `crm.deal.*`, `crm.contact.*`, `crm.company.*`: the old methods, with ids in strings and errors
without a code.
"""

from collections.abc import Callable
from typing import Any

from carex_bitrix24.simulator import fields
from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply, whole
from carex_bitrix24.simulator.items import Item
from carex_bitrix24.simulator.phpform import as_map
from carex_bitrix24.simulator.selection import chosen, matches, ordered, page

_CRM = frozenset({"crm"})
_NOUNS = {"lead": fields.LEAD, "deal": fields.DEAL, "contact": fields.CONTACT, "company": fields.COMPANY}
Runner = Callable[[Call], Reply]


def get(type_id: int) -> Runner:
    """crm.deal.get: one item."""
    return lambda call: Reply(fields.old_view(_found(call, type_id).values))


def update(type_id: int) -> Runner:
    """crm.deal.update: only "true" comes back."""

    def run(call: Call) -> Reply:
        item = _found(call, type_id)
        call.portal.write(item, _typed(call, type_id, set(item.values)), call.method, call.request_no)
        return Reply(True)

    return run


def add(type_id: int) -> Runner:
    """crm.deal.add: the new id comes back, as a number; called twice it makes two."""

    def run(call: Call) -> Reply:
        if not isinstance(call.given("fields"), dict):
            raise Refusal("", "Parameter 'fields' must be array.")
        values = _typed(call, type_id, set(fields.blank(type_id, 0)))
        item = call.portal.add_item(type_id, None, **values)
        for name, value in values.items():
            call.portal.record(type_id, item.id, name, None, value, call.method, call.request_no)
        call.portal.record_created(f"item {type_id}", item.id, call)
        return Reply(item.id)

    return run


def listing(type_id: int) -> Runner:
    """crm.deal.list: one page."""

    def run(call: Call) -> Reply:
        rows = [fields.old_view(item.values) for item in call.portal.items.readable(type_id)]
        rows = [row for row in rows if matches(row, call.given("filter"))]
        reply = page(ordered(rows, call.given("order"), "ID"), call.given("start"))
        return Reply([chosen(row, call.given("select"), "ID") for row in reply.result], reply.total, reply.next)

    return run


def contact_links(call: Call) -> Reply:
    """crm.deal.contact.items.get: the first contact is the primary one. Its ids are numbers, unlike a deal's."""
    contacts = _found(call, fields.DEAL).values["contactIds"]
    return Reply(
        [
            {"CONTACT_ID": contact, "SORT": 10 * (place + 1), "ROLE_ID": 0, "IS_PRIMARY": "N" if place else "Y"}
            for place, contact in enumerate(contacts)
        ]
    )


def _typed(call: Call, type_id: int, known: set[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for given, value in as_map(call.given("fields")).items():
        name = "stageId" if (type_id, given) == (fields.LEAD, "STATUS_ID") else fields.new_name(given)
        if name not in known or name in fields.READ_ONLY:
            continue
        try:
            values[name] = fields.typed(name, value)
        except (ValueError, TypeError):
            raise _invalid(given) from None
    if "assignedById" in values and not call.portal.accepts_responsible(values["assignedById"]):
        raise _invalid("ASSIGNED_BY_ID")
    return values


def _found(call: Call, type_id: int) -> Item:
    item_id = whole(call.given("id"))
    if item_id is None or item_id <= 0:
        raise Refusal("", "ID is not defined or invalid.")
    if (type_id, item_id) in call.portal.denied:
        raise Refusal("", "Access denied")
    item = call.portal.find(type_id, item_id)
    if item is None:
        raise Refusal("", "Not found")
    return item


def _invalid(name: str) -> Refusal:
    return Refusal("", f'Invalid value of field "{name}"')


_VERBS: dict[str, Callable[[int], Runner]] = {"get": get, "update": update, "add": add, "list": listing}
METHODS = {
    f"crm.{noun}.{verb}": Method(make(type_id), _CRM)
    for noun, type_id in _NOUNS.items()
    for verb, make in _VERBS.items()
} | {"crm.deal.contact.items.get": Method(contact_links, _CRM)}
