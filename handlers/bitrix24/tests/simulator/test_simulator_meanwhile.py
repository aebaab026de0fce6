"""People who change things by hand while a program works on them."""

import pytest
from carex_bitrix24.simulator import Meanwhile

pytestmark = pytest.mark.anyio
GIVE = {"entityTypeId": 2, "id": 7, "fields": {"assignedById": 3}}


async def test_what_is_done_by_hand_is_in_the_ledger_but_nobodys_decision(rest):
    rest.portal.add_item(2, 7)
    rest.portal.by_hand(2, 7, assignedById=5)
    assert [(change.method, change.new) for change in rest.portal.ledger] == [("by hand", 5)]
    assert rest.portal.ledger.people(2, 7) == []
    assert rest.portal.responsible(2, 7) == 5


async def test_a_human_after_the_program_is_who_the_item_ends_up_with(rest):
    await rest("crm.item.update", **GIVE)
    rest.portal.by_hand(2, 7, assignedById=5)
    assert rest.portal.ledger.shares() == {5: 1}
    assert rest.portal.ledger.given_to_two() == {}


async def test_somebody_is_faster_between_reading_and_writing(rest):
    rest.portal.meanwhile.add(Meanwhile("crm.item.get", {"assignedById": 5}))
    read = await rest("crm.item.get", entityTypeId=2, id=7)
    again = await rest("crm.item.get", entityTypeId=2, id=7)
    seen = [answer.json()["result"]["item"]["assignedById"] for answer in (read, again)]
    assert seen == [1, 5]


async def test_somebody_is_faster_inside_a_batch(rest):
    rest.portal.meanwhile.add(Meanwhile("crm.deal.get", {"assignedById": 5}))
    result = await rest.batch(a="crm.deal.get?id=7", b="crm.deal.get?id=7")
    assert [result["result"][name]["ASSIGNED_BY_ID"] for name in "ab"] == ["1", "5"]


async def test_somebody_acts_right_before_a_call(rest):
    rest.portal.meanwhile.add(Meanwhile("crm.item.update", {"assignedById": 5}, moment="before"))
    await rest("crm.item.update", **GIVE)
    assert [(change.method, change.old, change.new) for change in rest.portal.ledger] == [
        ("by hand", 1, 5),
        ("crm.item.update", 5, 3),
    ]


async def test_other_types_are_left_alone(rest):
    rest.portal.meanwhile.add(Meanwhile("crm.*", {"assignedById": 5}))
    await rest("crm.contact.get", id=7)
    await rest("crm.item.get", entityTypeId=3, id=7)
    assert len(rest.portal.ledger) == 0


async def test_a_named_item_is_changed_whatever_the_call_is_about(rest):
    rest.portal.meanwhile.add(Meanwhile("profile", {"assignedById": 5}, item_id=9))
    await rest("profile")
    assert rest.portal.responsible(2, 9) == 5


async def test_a_moment_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="before or after"):
        Meanwhile("profile", {}, moment="during")
