"""crm.item.*: numbers for ids, codes for errors, silence for unknown names."""

import pytest

pytestmark = pytest.mark.anyio


async def test_an_unknown_deal_exists_on_first_touch(rest):
    item = (await rest("crm.item.get", entityTypeId=2, id=123)).json()["result"]["item"]
    assert (item["id"], item["assignedById"], item["stageSemanticId"]) == (123, 1, "P")
    assert item["contactIds"] == []


@pytest.mark.parametrize("params", [{"entityTypeId": 2, "id": 5}, {"entityTypeId": "2", "id": "5"}])
async def test_ids_are_taken_as_numbers_and_as_strings(rest, params):
    assert (await rest("crm.item.get", **params)).json()["result"]["item"]["id"] == 5


@pytest.mark.parametrize("type_id", [1, 2, 3, 4, 128, 1036])
async def test_every_type_has_a_responsible_person(rest, type_id):
    answer = await rest("crm.item.update", entityTypeId=type_id, id=9, fields={"assignedById": 3})
    assert answer.json()["result"]["item"]["assignedById"] == 3
    assert rest.portal.ledger.people(type_id, 9) == [3]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"id": 1}, "100"),
        ({"entityTypeId": 2}, "100"),
        ({"entityTypeId": 2, "id": "abc"}, "100"),
        ({"entityTypeId": 77, "id": 1}, "NOT_FOUND"),
        ({"entityTypeId": 2, "id": 10_000_001}, "NOT_FOUND"),
        ({"entityTypeId": 2, "id": 66}, "NOT_FOUND"),
        ({"entityTypeId": 2, "id": 67}, "ACCESS_DENIED"),
    ],
)
@pytest.mark.parametrize("method", ["crm.item.get", "crm.item.update"])
async def test_errors_have_codes(rest, method, params, code):
    rest.portal.missing.add((2, 66))
    rest.portal.denied.add((2, 67))
    answer = await rest(method, fields={}, **params)
    assert (answer.status_code, answer.json()["error"]) == (400, code)


async def test_without_auto_create_only_added_items_exist(open_portal):
    rest = open_portal(auto_create=False)
    rest.portal.add_item(2, 5, title="Есть")
    assert (await rest("crm.item.get", entityTypeId=2, id=5)).json()["result"]["item"]["title"] == "Есть"
    assert (await rest("crm.item.get", entityTypeId=2, id=6)).json()["error"] == "NOT_FOUND"


async def test_a_missing_parameter_is_named(rest):
    answer = await rest("crm.item.update", entityTypeId=2, id=1)
    assert answer.json()["error_description"] == "Could not find value for parameter {fields}"


async def test_unknown_and_read_only_fields_are_passed_over(rest):
    fields = {"assignedByID": 5, "ASSIGNED_BY_ID": 6, "id": 99, "createdTime": "x"}
    item = (await rest("crm.item.update", entityTypeId=2, id=1, fields=fields)).json()["result"]["item"]
    assert (item["id"], item["assignedById"]) == (1, 1)
    assert len(rest.portal.ledger) == 0


async def test_an_update_with_the_same_value_is_recorded_but_not_saved(rest, clock):
    before = (await rest("crm.item.get", entityTypeId=2, id=1)).json()["result"]["item"]["updatedTime"]
    clock.seconds = 100.0
    after = (await rest("crm.item.update", entityTypeId=2, id=1, fields={"assignedById": "1"})).json()["result"]["item"]
    assert after["updatedTime"] == before
    assert [(change.new, change.changed) for change in rest.portal.ledger] == [(1, False)]


async def test_an_update_that_changes_something_moves_the_date(rest, clock):
    rest.portal.add_item(2, 1)
    before = rest.portal.find(2, 1).values["updatedTime"]
    clock.seconds = 100.0
    await rest("crm.item.update", entityTypeId=2, id=1, fields={"assignedById": 4})
    assert rest.portal.find(2, 1).values["updatedTime"] != before


@pytest.mark.parametrize(
    ("strict", "dismissed_refused", "user", "status"),
    [
        (False, False, 999, 200),
        (True, False, 999, 400),
        (True, False, 3, 200),
        (False, True, 3, 400),
        (True, True, 2, 200),
    ],
)
async def test_who_can_be_responsible_is_a_setting(open_portal, strict, dismissed_refused, user, status):
    rest = open_portal(strict_users=strict, refuse_dismissed=dismissed_refused)
    rest.portal.set_employee(3, active=False)
    answer = await rest("crm.item.update", entityTypeId=2, id=1, fields={"assignedById": user})
    assert answer.status_code == status
    assert answer.json().get("error") == (None if status == 200 else "CRM_FIELD_ERROR_VALUE_NOT_VALID")


async def test_a_responsible_person_who_is_no_number_is_refused_and_nothing_is_written(rest):
    answer = await rest("crm.item.update", entityTypeId=2, id=1, fields={"title": "Новое", "assignedById": "anna"})
    assert answer.json()["error"] == "CRM_FIELD_ERROR_VALUE_NOT_VALID"
    assert rest.portal.find(2, 1).values["title"] == "Сделка #1"


async def test_adding_twice_makes_two_items(rest):
    ids = [(await rest("crm.item.add", entityTypeId=2, fields={"title": "A"})).json()["result"]["item"]["id"]]
    ids += [(await rest("crm.item.add", entityTypeId=2, fields={"title": "A"})).json()["result"]["item"]["id"]]
    assert ids[0] != ids[1]
    assert [change.method for change in rest.portal.ledger] == ["crm.item.add"] * 2


async def test_the_primary_contact_follows_the_contacts(rest):
    fields = {"contactIds": [7, "8"]}
    item = (await rest("crm.item.update", entityTypeId=2, id=1, fields=fields)).json()["result"]["item"]
    assert (item["contactId"], item["contactIds"]) == (7, [7, 8])


@pytest.mark.parametrize(("stage", "meaning"), [("WON", "S"), ("C5:LOSE", "F"), ("C5:PREPARATION", "P")])
async def test_the_stage_decides_its_meaning(rest, stage, meaning):
    answer = await rest("crm.item.update", entityTypeId=2, id=1, fields={"stageId": stage})
    assert answer.json()["result"]["item"]["stageSemanticId"] == meaning


@pytest.mark.parametrize(("original", "name"), [("N", "ufCrmColor"), ("Y", "UF_CRM_COLOR")])
async def test_user_fields_have_two_names(rest, original, name):
    rest.portal.user_fields.add("UF_CRM_COLOR")
    await rest("crm.item.update", entityTypeId=2, id=1, fields={"ufCrmColor": "red"})
    item = (await rest("crm.item.get", entityTypeId=2, id=1, useOriginalUfNames=original)).json()["result"]["item"]
    assert item[name] == "red"
