"""`crm.item.*`: one set of methods for deals, leads, contacts, companies and smart processes.

Ids are numbers here, errors have codes, and names the portal does not know are passed over in silence.
"""

from typing import Any

from carex_bitrix24.simulator import fields
from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply, truth
from carex_bitrix24.simulator.items import Item
from carex_bitrix24.simulator.selection import chosen, matches, ordered, page


def get(call: Call) -> Reply:
    """crm.item.get: one item."""
    return Reply({"item": _view(call, _found(call))})


def update(call: Call) -> Reply:
    """crm.item.update: the whole item comes back, so a caller can see what was taken."""
    item = _found(call)
    values = _typed(call, set(item.values))
    call.portal.write(item, values, call.method, call.request_no)
    return Reply({"item": _view(call, item)})


def add(call: Call) -> Reply:
    """crm.item.add: called twice it makes two items."""
    type_id = _type(call)
    blank = set(fields.blank(type_id, 0)) | {fields.new_name(name) for name in call.portal.user_fields}
    values = _typed(call, blank)
    item = call.portal.add_item(type_id, None, **values)
    for name, value in values.items():
        call.portal.record(type_id, item.id, name, None, value, call.method, call.request_no)
    call.portal.record_created(f"item {type_id}", item.id, call)
    return Reply({"item": _view(call, item)})


def listing(call: Call) -> Reply:
    """crm.item.list: one page of the items that a filter lets through."""
    rows = [_view(call, item) for item in call.portal.items.readable(_type(call))]
    rows = [row for row in rows if matches(row, call.params.get("filter"))]
    reply = page(ordered(rows, call.params.get("order"), "id"), call.params.get("start"))
    items = [chosen(row, call.params.get("select"), "id") for row in reply.result]
    return Reply({"items": items}, reply.total, reply.next)


def _type(call: Call) -> int:
    type_id = call.needed_number("entityTypeId")
    if not fields.is_known_type(type_id):
        raise Refusal("NOT_FOUND", "Smart process not found")
    return type_id


def _found(call: Call) -> Item:
    type_id = _type(call)
    item_id = call.needed_number("id")
    if (type_id, item_id) in call.portal.denied:
        raise Refusal("ACCESS_DENIED", "Access denied")
    item = call.portal.find(type_id, item_id)
    if item is None:
        raise Refusal("NOT_FOUND", "Item not found")
    return item


def _typed(call: Call, known: set[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for given, value in call.needed_map("fields").items():
        name = fields.new_name(given) if given.startswith("UF_CRM") else given
        if name not in known or name in fields.READ_ONLY:
            continue
        try:
            values[name] = fields.typed(name, value)
        except (ValueError, TypeError):
            raise _invalid(name) from None
    if "assignedById" in values and not call.portal.accepts_responsible(values["assignedById"]):
        raise _invalid("assignedById")
    return values


def _invalid(name: str) -> Refusal:
    return Refusal("CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Invalid value of field "{name}"')


def _view(call: Call, item: Item) -> dict[str, Any]:
    view = {name: list(value) if isinstance(value, list) else value for name, value in item.values.items()}
    if truth(call.params.get("useOriginalUfNames", "N")):
        return {fields.old_name(name) if name.startswith("ufCrm") else name: value for name, value in view.items()}
    return view


METHODS = {
    "crm.item.get": Method(get, frozenset({"crm"})),
    "crm.item.update": Method(update, frozenset({"crm"})),
    "crm.item.list": Method(listing, frozenset({"crm"})),
    "crm.item.add": Method(add, frozenset({"crm"})),
}
