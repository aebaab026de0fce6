"""`bitrix_assign`: a deal, lead, contact or company gets a responsible person."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from carex import BpmnError, Context, Fail, Retry, Wait
from carex_bitrix24 import guard, plugin
from carex_bitrix24.crm import CONTACT, DEAL, NAMES, name_of, read_item, whole
from carex_bitrix24.facts import facts_of
from carex_bitrix24.ids import Contacts, Id, Person
from carex_bitrix24.messages import say_in_timeline, send_notice
from carex_bitrix24.settings import Settings

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal


@dataclass(frozen=True)
class Subject:
    """What to give away, exactly one of the four; and with a deal, which contacts.

    `again` draws anew for what was given to somebody before. `was` is who was responsible when the robot called.
    """

    deal_id: Id | None = None
    lead_id: Id | None = None
    contact_id: Id | None = None
    company_id: Id | None = None
    cont_id: Contacts = ()
    again: bool = False
    was: Person = None

    def __post_init__(self) -> None:
        if len(self._named()) != 1:
            raise ValueError("name one of deal_id, lead_id, contact_id and company_id")

    @property
    def type(self) -> int:
        return NAMES[self._named()[0].removesuffix("_id")]

    @property
    def id(self) -> int:
        return int(getattr(self, self._named()[0]))

    def _named(self) -> list[str]:
        ids = [each.name for each in fields(self) if each.name.removesuffix("_id") in NAMES]
        return [name for name in ids if getattr(self, name) is not None]


@plugin.handler("bitrix_assign", attempts=15, timeout=300)
async def assign(subject: Subject, ctx: Context) -> dict[str, Any]:
    """Give a deal and its contacts, a lead, a contact or a company to an available employee, and say who."""
    portal: Portal = ctx.client
    settings: Settings = ctx.settings or Settings()
    type, id, name = subject.type, subject.id, name_of(subject.type)
    item, chosen = await choose(subject, ctx)
    if isinstance(chosen, int):
        ctx.log.info("{} {} stays with {}: somebody was faster", name, id, chosen)
        return {f"{name}_id": id, "user_id": chosen, "outcome": "superseded", "contacts": {}}
    contacts = _contacts(subject, item, settings)

    async def give_contacts() -> list[str]:
        return await asyncio.gather(*(_give_contact(portal, each, chosen.user_id) for each in contacts))

    if item:
        _, said = await asyncio.gather(_give(portal, type, id, chosen.user_id), give_contacts())
    else:  # nobody has seen yet that it exists: its contacts come after it
        await _give(portal, type, id, chosen.user_id)
        said = await give_contacts()
    await ctx.people.told(chosen, f"{name} {id} and {len(contacts)} contacts are theirs")
    ctx.log.info(
        "{} {} → {} {} ({} of {}{})",
        name,
        id,
        chosen.user_id,
        chosen.user_name,
        chosen.strategy,
        len(chosen.candidates),
        ", decided before" if chosen.reused else "",
    )
    await _tell(name, subject, chosen.user_id, chosen.user_name, settings, ctx)
    return {
        f"{name}_id": id,
        "user_id": chosen.user_id,
        "user_name": chosen.user_name,
        "outcome": "assigned",
        "contacts": dict(zip(map(str, contacts), said, strict=True)),
    }


async def choose(subject: Subject, ctx: Context) -> tuple[Mapping[str, Any], Any]:
    """What is known of the item, and the decision who gets it, or the id of a person who was faster. The portal is
    only read.

    Who it is is written down before the first change, so that every repetition of this names the same person.
    """
    portal: Portal = ctx.client
    settings: Settings = ctx.settings or Settings()
    type, id, entity = subject.type, subject.id, f"{name_of(subject.type)}:{subject.id}"
    keep = settings.if_changed == "keep" and not subject.again
    if not keep or guard.has_looked(entity, ctx):  # while nobody is there, what waits costs the portal nothing
        await ctx.people.anybody(ctx.task, entity, again=subject.again)
    item: Mapping[str, Any] = {}
    if keep or (type == DEAL and settings.contacts == "all"):
        item = await read_item(portal, type, id)
    if keep:
        other = await guard.who_was_faster(item, entity, subject.was, settings.holders, ctx)
        if other:
            return item, other
    facts = partial(facts_of, portal, type, id, item, subject.cont_id)
    return item, await ctx.people.decide(ctx.task, entity, again=subject.again, facts=facts)


def _contacts(subject: Subject, item: Mapping[str, Any], settings: Settings) -> tuple[int, ...]:
    if subject.type != DEAL or settings.contacts == "none":
        return ()
    own = [whole(each) for each in item.get("contactIds") or ()] if settings.contacts == "all" else []
    return tuple(dict.fromkeys([*subject.cont_id, *filter(None, own)]))


async def _give(portal: Portal, type: int, id: int, user: int) -> str:
    """Make a user responsible for an item. Setting the same person twice changes nothing, so it may be repeated."""
    result = await portal.call(
        "crm.item.update",
        {"entityTypeId": type, "id": id, "fields": {"assignedById": user}},
        repeatable=True,
    )
    # The portal silently ignores what it does not understand: only the item itself says that it worked.
    given = result.get("item") if isinstance(result, dict) else None
    now = given.get("assignedById") if isinstance(given, dict) else None
    if str(now) != str(user):
        raise Retry(f"{name_of(type)} {id}: asked for {user} as responsible, but the portal answers {now or 'nobody'}")
    return "ok"


async def _give_contact(portal: Portal, contact: int, user: int) -> str:
    """A contact that is gone does not undo the deal."""
    try:
        return await _give(portal, CONTACT, contact, user)
    except BpmnError as error:
        if error.code != "NOT_FOUND":
            raise
        return "not found"


async def _tell(name: str, subject: Subject, user: int, user_name: str, settings: Settings, ctx: Context) -> None:
    """Notify and comment where that is wanted. The work is given, whether or not this succeeds."""
    portal: Portal = ctx.client
    try:
        if settings.notify:
            await send_notice(portal, user, f"You are now responsible for {name} {subject.id}.", ctx.task)
        if settings.comment:
            text = f"Carex has given this to {user_name}."
            await say_in_timeline(portal, subject.type, subject.id, text, ctx.task)
    except (Wait, Retry, Fail, BpmnError) as outcome:
        ctx.log.warning("{} {} is given, but the portal did not say so to {}: {}", name, subject.id, user_name, outcome)
