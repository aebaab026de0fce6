"""`bitrix_assign`: a deal gets a responsible person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carex import BpmnError, Context, Retry
from carex_bitrix24 import plugin
from carex_bitrix24.ids import Contacts, Id

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal

DEAL = 2
CONTACT = 3
"""The portal's entityTypeId of each."""


@dataclass(frozen=True)
class Deal:
    """A deal and its contacts. `again` draws anew for a deal that was given to somebody before."""

    deal_id: Id
    cont_id: Contacts = ()
    again: bool = False


@plugin.handler("bitrix_assign", attempts=15, timeout=120)
async def assign(deal: Deal, ctx: Context) -> dict[str, Any]:
    """Give a deal and its contacts to an available employee, and say who."""
    # Who it is was written down before the first call, so that every repetition of this names the same person.
    chosen = await ctx.people.decide(ctx.task, f"deal:{deal.deal_id}", again=deal.again)
    await _give(ctx.client, DEAL, deal.deal_id, chosen.user_id)
    contacts = {str(each): await _give_contact(ctx.client, each, chosen.user_id) for each in deal.cont_id}
    ctx.log.info(
        "deal {} → {} {} ({} of {}{})",
        deal.deal_id,
        chosen.user_id,
        chosen.user_name,
        chosen.strategy,
        len(chosen.candidates),
        ", decided before" if chosen.reused else "",
    )
    return {"deal_id": deal.deal_id, "user_id": chosen.user_id, "user_name": chosen.user_name, "contacts": contacts}


async def _give(portal: Portal, entity_type: int, item: int, user: int) -> None:
    """Make a user responsible for an item. Setting the same person twice changes nothing, so it may be repeated."""
    result = await portal.call(
        "crm.item.update",
        {"entityTypeId": entity_type, "id": item, "fields": {"assignedById": user}},
        repeatable=True,
    )
    # The portal silently ignores what it does not understand: only the item itself says that it worked.
    given = result.get("item") if isinstance(result, dict) else None
    now = given.get("assignedById") if isinstance(given, dict) else None
    if str(now) != str(user):
        what = {DEAL: "deal", CONTACT: "contact"}[entity_type]
        raise Retry(f"{what} {item}: asked for {user} as responsible, but the portal answers {now or 'nobody'}")


async def _give_contact(portal: Portal, contact: int, user: int) -> str:
    """A contact that is gone does not undo the deal."""
    try:
        await _give(portal, CONTACT, contact, user)
    except BpmnError as error:
        if error.code != "NOT_FOUND":
            raise
        return "not found"
    return "ok"
