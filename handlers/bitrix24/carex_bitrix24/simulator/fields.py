"""The fields of CRM items: which exist, what they hold, and how their names look in the old methods.

An item keeps its values under the names of `crm.item.*`; `crm.deal.*` and `crm.contact.*` are another view of them.
"""

import re
from collections.abc import Mapping
from typing import Any

LEAD, DEAL, CONTACT, COMPANY = 1, 2, 3, 4
FIRST_DYNAMIC = 128

_WHOLE = {"assignedById", "categoryId", "contactId", "companyId", "createdBy", "updatedBy", "movedBy"}
_LISTS = {"contactIds", "observers"}
_AMOUNTS = {"opportunity"}
READ_ONLY = frozenset(
    {"id", "entityTypeId", "createdTime", "updatedTime", "movedTime", "updatedBy", "movedBy", "stageSemanticId"}
)
_SHARED: dict[str, Any] = {
    "xmlId": "",
    "assignedById": 0,
    "opened": "Y",
    "sourceId": "",
    "sourceDescription": "",
    "originatorId": "",
    "originId": "",
}
_UTM: dict[str, Any] = dict.fromkeys(("utmSource", "utmMedium", "utmCampaign", "utmContent", "utmTerm"), "")
_STAGED: dict[str, Any] = {
    "title": "",
    "stageSemanticId": "P",
    "contactId": 0,
    "contactIds": [],
    "companyId": 0,
    "opportunity": 0,
    "currencyId": "RUB",
    "isManualOpportunity": "N",
    "observers": [],
}
_PERSON: dict[str, Any] = {"name": "", "secondName": "", "lastName": "", "post": "", "comments": ""}
_OLD_NAMES = {
    "createdTime": "DATE_CREATE",
    "updatedTime": "DATE_MODIFY",
    "movedTime": "MOVED_TIME",
    "createdBy": "CREATED_BY_ID",
    "updatedBy": "MODIFY_BY_ID",
    "movedBy": "MOVED_BY_ID",
}
_HIDDEN_IN_OLD = {"contactIds", "observers", "entityTypeId", "xmlId"}


def is_known_type(entity_type_id: int) -> bool:
    """Whether items of this type exist: leads, deals, contacts, companies and smart processes."""
    return LEAD <= entity_type_id <= COMPANY or entity_type_id >= FIRST_DYNAMIC


def blank(entity_type_id: int, item_id: int) -> dict[str, Any]:
    """Return the values of a new item."""
    values: dict[str, Any] = {"id": item_id, **_SHARED}
    if entity_type_id == DEAL:
        values |= {**_STAGED, **_UTM, "categoryId": 0, "stageId": "NEW", "typeId": "SALE", "comments": ""}
        values["title"] = f"Сделка #{item_id}"
    elif entity_type_id == LEAD:
        values |= {**_STAGED, **_PERSON, **_UTM, "stageId": "NEW"}
        values["title"] = f"Лид #{item_id}"
    elif entity_type_id == CONTACT:
        values |= {**_PERSON, **_UTM, "companyId": 0, "categoryId": 0, "typeId": "CLIENT"}
        values["name"] = f"Контакт {item_id}"
    elif entity_type_id == COMPANY:
        values |= {**_UTM, "contactIds": [], "categoryId": 0, "typeId": "CUSTOMER", "comments": ""}
        values["title"] = f"Компания #{item_id}"
    else:
        values |= {**_STAGED, **_UTM, "categoryId": 1, "stageId": f"DT{entity_type_id}_1:NEW"}
        values["title"] = f"Элемент #{item_id}"
    return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}


def typed(name: str, value: Any) -> Any:
    """Return the value as the portal stores it; raise ValueError if it does not fit the field."""
    if name in _LISTS:
        items = list(value.values()) if isinstance(value, Mapping) else value
        items = items if isinstance(items, list) else [items]
        return [_whole(item) for item in items if item not in ("", None)]
    if name in _WHOLE:
        return _whole(value)
    if name in _AMOUNTS:
        amount = float(value or 0)
        return int(amount) if amount.is_integer() else amount
    if isinstance(value, bool):
        return "Y" if value else "N"
    return value if isinstance(value, list | Mapping) else "" if value is None else str(value)


def semantics(stage: str) -> str:
    """Return S for a won stage, F for a lost one, P for the others."""
    last = stage.rpartition(":")[2]
    if last in {"WON", "SUCCESS", "CONVERTED"}:
        return "S"
    return "F" if last in {"LOSE", "LOST", "FAIL", "APOLOGY", "JUNK"} else "P"


def old_name(name: str) -> str:
    """assignedById -> ASSIGNED_BY_ID."""
    return _OLD_NAMES.get(name) or re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).upper()


def new_name(name: str) -> str:
    """ASSIGNED_BY_ID -> assignedById, UF_CRM_COLOR -> ufCrmColor, UF_CRM_12 -> ufCrm_12."""
    for new, old in _OLD_NAMES.items():
        if old == name:
            return new
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name.lower())


def old_view(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as `crm.deal.get` shows it: upper-case names, and numbers in strings."""
    view = {old_name(name): _old_value(name, value) for name, value in values.items() if name not in _HIDDEN_IN_OLD}
    if values.get("entityTypeId") == LEAD:
        return {name.replace("STAGE_", "STATUS_"): value for name, value in view.items()}
    return view


def _old_value(name: str, value: Any) -> Any:
    if name in _AMOUNTS:
        return f"{float(value):.2f}"
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int | float) else value


def _whole(value: Any) -> int:
    if value in ("", None):
        return 0
    if isinstance(value, bool | float | list | dict):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)
