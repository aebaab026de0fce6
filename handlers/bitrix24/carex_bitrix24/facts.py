"""What the rules may ask about an item before it is given to somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from carex import BpmnError
from carex_bitrix24.crm import COMPANY, CONTACT, read_item, whole

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal

FIELDS = {
    "pipeline": "categoryId",
    "stage": "stageId",
    "source": "sourceId",
    "amount": "opportunity",
    "currency": "currencyId",
}
"""The words of the rules, and the portal's fields; any other word is a field itself."""
OWNERS = "owners"


async def facts_of(
    portal: Portal, type: int, id: int, item: Mapping[str, Any], contacts: Sequence[int], wanted: frozenset[str]
) -> Mapping[str, Any]:
    """The wanted facts about an item; `item` is what is known of it already, if anything.

    `owners` are those who are responsible for its contacts and then for its company. Raises what the portal raises.
    """
    item = item or await read_item(portal, type, id)
    facts = {name: item.get(FIELDS.get(name, name)) for name in wanted if name != OWNERS}
    if OWNERS in wanted:
        facts[OWNERS] = await _owners(portal, item, contacts)
    return facts


async def _owners(portal: Portal, item: Mapping[str, Any], contacts: Sequence[int]) -> list[int]:
    linked = [*contacts, whole(item.get("contactId")), *map(whole, item.get("contactIds") or ())]
    asked = [(CONTACT, each) for each in dict.fromkeys(linked) if each]
    asked += [(COMPANY, company) for company in [whole(item.get("companyId"))] if company]
    found = await asyncio.gather(*(_owner(portal, type, each) for type, each in asked))
    return list(dict.fromkeys(owner for owner in found if owner))


async def _owner(portal: Portal, type: int, id: int) -> int:
    try:
        return whole((await read_item(portal, type, id)).get("assignedById"))
    except BpmnError:  # gone meanwhile: nobody's
        return 0
