"""Telling people: a comment in a timeline or a todo (twice means two), a notification (a tag makes it one)."""

import json

from carex_bitrix24.simulator import fields
from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply, whole
from carex_bitrix24.simulator.messages import Comment, Notification
from carex_bitrix24.simulator.selection import moment

LONGEST_ATTACH = 60_000
_TYPES = {"lead": fields.LEAD, "deal": fields.DEAL, "contact": fields.CONTACT, "company": fields.COMPANY}
_PEOPLE = 0


def comment(call: Call) -> Reply:
    """crm.timeline.comment.add: takes its parameters only under the lower-case name "fields"."""
    given = call.needed_map("fields")
    owner = str(given.get("ENTITY_TYPE", "")).lower()
    type_id = _TYPES.get(owner) or whole(owner.removeprefix("dynamic_")) or 0
    item_id = whole(given.get("ENTITY_ID")) or 0
    text = str(given.get("COMMENT") or "")
    if not text.strip():
        raise Refusal("INVALID_ARG_VALUE", "Empty comment message")
    portal = call.portal
    if not fields.is_known_type(type_id) or portal.find(type_id, item_id) is None:
        raise Refusal("OWNER_NOT_FOUND", "The owner of the comment was not found")
    if (type_id, item_id) in portal.denied:
        raise Refusal("ACCESS_DENIED", "Access denied")
    number = portal.next_number()
    portal.comments.append(Comment(number, type_id, item_id, text))
    portal.record(type_id, item_id, "timelineComment", None, text, call.method, call.request_no)
    portal.record_created("comment", number, call)
    return Reply(number)


def notification(call: Call) -> Reply:
    """im.notify.*.add: false if there is nobody of this id. A webhook's TAG counts only with a CLIENT_ID."""
    user_id = whole(call.given("USER_ID"))
    text = str(call.given("MESSAGE") or "").strip()
    if not user_id or user_id <= 0:
        raise Refusal("USER_ID_EMPTY", "User ID can't be empty")
    if not text:
        raise Refusal("MESSAGE_EMPTY", "Message can't be empty")
    attach = call.given("ATTACH", "")
    if len(attach if isinstance(attach, str) else json.dumps(attach)) > LONGEST_ATTACH:
        raise Refusal("ATTACH_OVERSIZE", "You have exceeded the maximum allowable size of attach")
    portal = call.portal
    person = portal.employees.get(user_id)
    if person is None or not person.active:
        return Reply(False)
    tag = str(call.given("TAG") or "") if call.given("CLIENT_ID") else ""
    for old in [old for old in portal.notifications.values() if tag and (old.user_id, old.tag) == (user_id, tag)]:
        del portal.notifications[old.id]
    number = portal.next_number()
    portal.notifications[number] = Notification(number, user_id, text, tag)
    portal.record(_PEOPLE, user_id, "notification", None, text, call.method, call.request_no)
    portal.record_created("notification", number, call)
    return Reply(number)


def todo(call: Call) -> Reply:
    """crm.activity.todo.add: something to do about an item; twice means two."""
    type_id, item_id = call.needed_number("ownerTypeId"), call.needed_number("ownerId")
    portal, due = call.portal, str(call.needed("deadline"))
    if not fields.is_known_type(type_id) or portal.find(type_id, item_id) is None:
        raise Refusal("OWNER_NOT_FOUND", "The owner of the activity was not found")
    if (type_id, item_id) in portal.denied:
        raise Refusal("ACCESS_DENIED", "Access denied")
    if moment(due) is None:
        raise Refusal("WRONG_DATETIME_FORMAT", "Wrong date format")
    number = portal.next_number()
    portal.record(type_id, item_id, "todo", None, str(call.given("title") or ""), call.method, call.request_no)
    portal.record_created("todo", number, call)
    return Reply({"id": number})


METHODS = {
    "crm.timeline.comment.add": Method(comment, frozenset({"crm"})),
    "crm.activity.todo.add": Method(todo, frozenset({"crm"})),
    "im.notify.system.add": Method(notification, frozenset({"im"})),
    "im.notify.personal.add": Method(notification, frozenset({"im"})),
}
