"""`crm.deal.*` and `crm.contact.*`: the old methods, with ids in strings and errors without a code."""

from collections.abc import Callable
from typing import Any

from carex_bitrix24.simulator import fields
from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply, whole
from carex_bitrix24.simulator.items import Item
from carex_bitrix24.simulator.phpform import as_map
from carex_bitrix24.simulator.selection import chosen, matches, ordered, page


def get(type_id: int) -> Callable[[Call], Reply]:
    """crm.deal.get, crm.contact.get."""
    return lambda call: Reply(fields.old_view(_found(call, type_id).values))


def update(type_id: int) -> Callable[[Call], Reply]:
    """crm.deal.update, crm.contact.update: only "true" comes back."""

    def run(call: Call) -> Reply:
        item = _found(call, type_id)
        values: dict[str, Any] = {}
        for given, value in as_map(call.given("fields")).items():
            name = fields.new_name(given)
            if name not in item.values or name in fields.READ_ONLY:
                continue
            try:
                values[name] = fields.typed(name, value)
            except (ValueError, TypeError):
                raise _invalid(given) from None
        if "assignedById" in values and not call.portal.accepts_responsible(values["assignedById"]):
            raise _invalid("ASSIGNED_BY_ID")
        call.portal.write(item, values, call.method, call.request_no)
        return Reply(True)

    return run


def listing(call: Call) -> Reply:
    """crm.deal.list."""
    rows = [fields.old_view(item.values) for item in call.portal.items.readable(fields.DEAL)]
    rows = [row for row in rows if matches(row, call.given("filter"))]
    reply = page(ordered(rows, call.given("order"), "ID"), call.given("start"))
    return Reply([chosen(row, call.given("select"), "ID") for row in reply.result], reply.total, reply.next)


def contact_links(call: Call) -> Reply:
    """crm.deal.contact.items.get: the first contact is the primary one. Its ids are numbers, unlike a deal's."""
    contacts = _found(call, fields.DEAL).values["contactIds"]
    return Reply(
        [
            {"CONTACT_ID": contact, "SORT": 10 * (place + 1), "ROLE_ID": 0, "IS_PRIMARY": "N" if place else "Y"}
            for place, contact in enumerate(contacts)
        ]
    )


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


METHODS = {
    "crm.deal.get": Method(get(fields.DEAL), frozenset({"crm"})),
    "crm.deal.update": Method(update(fields.DEAL), frozenset({"crm"})),
    "crm.deal.list": Method(listing, frozenset({"crm"})),
    "crm.deal.contact.items.get": Method(contact_links, frozenset({"crm"})),
    "crm.contact.get": Method(get(fields.CONTACT), frozenset({"crm"})),
    "crm.contact.update": Method(update(fields.CONTACT), frozenset({"crm"})),
}
