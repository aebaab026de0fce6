"""What the ledger says about who got what."""

import pytest
from carex_bitrix24.simulator import Change

pytestmark = pytest.mark.anyio


async def give(rest, deal, user):
    await rest("crm.item.update", entityTypeId=2, id=deal, fields={"assignedById": user})


async def test_a_change_says_what_when_and_by_which_request(rest, clock):
    clock.seconds = 5.0
    await rest("profile")
    await give(rest, 7, 3)
    assert list(rest.portal.ledger) == [Change(5.0, 2, 7, "assignedById", 1, 3, "crm.item.update", 2, True)]


async def test_the_same_person_twice_counts_once(rest):
    for user in (3, 3, 3):
        await give(rest, 7, user)
    assert rest.portal.ledger.people(2, 7) == [3]
    assert rest.portal.ledger.given_to_two() == {}
    assert [change.changed for change in rest.portal.ledger] == [True, False, False]


async def test_an_item_given_to_two_is_found(rest):
    await give(rest, 7, 3)
    await give(rest, 7, 4)
    await give(rest, 8, 4)
    assert rest.portal.ledger.given_to_two() == {7: [3, 4]}
    assert rest.portal.ledger.given_to_two(3) == {}


async def test_shares_count_the_last_responsible_person(rest):
    await give(rest, 7, 3)
    await give(rest, 7, 4)
    await give(rest, 8, 4)
    assert rest.portal.ledger.shares() == {4: 2}


async def test_calls_are_counted_by_method_and_outcome(rest):
    await rest("profile")
    await rest("profile")
    await rest("crm.deal.get", id=0)
    assert rest.portal.ledger.calls == {("profile", "OK"): 2, ("crm.deal.get", ""): 1}
    assert rest.portal.ledger.requests == 3


async def test_what_was_created_twice_is_found(rest):
    for title in ("A", "A", "B"):
        await rest("crm.item.add", entityTypeId=2, fields={"title": title})
    twice = rest.portal.ledger.created_twice("item 2")
    assert [len(ids) for ids in twice.values()] == [2]
    assert rest.portal.ledger.created_twice("task") == {}


async def test_each_created_thing_says_by_which_request(rest):
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 7, "COMMENT": "x"}
    await rest("crm.timeline.comment.add", fields=fields)
    await rest("im.notify.system.add", USER_ID=3, MESSAGE="x")
    await rest("crm.activity.todo.add", ownerTypeId=2, ownerId=7, deadline="2026-12-01T10:00:00+03:00", title="x")
    await rest("crm.deal.add", fields={"TITLE": "x"})
    kinds = [(thing.kind, thing.request_no) for thing in rest.portal.ledger.created]
    assert kinds == [("comment", 1), ("notification", 2), ("todo", 3), ("item 2", 4)]


async def test_the_log_has_every_request_with_its_time_and_outcome(open_portal, clock):
    rest = open_portal(capacity=1.0)
    clock.seconds = 2.0
    await rest("profile")
    await rest("profile")
    seen = [(asked.number, asked.at, asked.method, asked.outcome) for asked in rest.portal.ledger.log]
    assert seen == [(1, 2.0, "profile", "OK"), (2, 2.0, "profile", "QUERY_LIMIT_EXCEEDED")]
