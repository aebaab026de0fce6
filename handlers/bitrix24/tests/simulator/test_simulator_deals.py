"""The old methods: strings for ids, empty codes for errors."""

import pytest

pytestmark = pytest.mark.anyio


async def test_a_deal_has_strings(rest):
    rest.portal.add_item(2, 410, contactIds=[7], opportunity=1500)
    deal = (await rest("crm.deal.get", id=410)).json()["result"]
    assert (deal["ID"], deal["ASSIGNED_BY_ID"], deal["CONTACT_ID"]) == ("410", "1", "7")
    assert (deal["OPPORTUNITY"], deal["OPENED"], deal["STAGE_ID"]) == ("1500.00", "Y", "NEW")
    assert "contactIds" not in deal


async def test_a_contact_has_its_own_fields(rest):
    contact = (await rest("crm.contact.get", id=5)).json()["result"]
    assert (contact["ID"], contact["NAME"]) == ("5", "Контакт 5")
    assert "STAGE_ID" not in contact


@pytest.mark.parametrize("spelling", [("id", "fields"), ("ID", "FIELDS")])
@pytest.mark.parametrize(("method", "type_id"), [("crm.deal.update", 2), ("crm.contact.update", 3)])
async def test_an_old_update_answers_true_and_takes_names_in_any_case(rest, method, type_id, spelling):
    answer = await rest(method, **{spelling[0]: 5, spelling[1]: {"ASSIGNED_BY_ID": "4", "NONSENSE": 1}})
    assert answer.json()["result"] is True
    assert rest.portal.responsible(type_id, 5) == 4


@pytest.mark.parametrize("method", ["crm.deal.get", "crm.deal.update", "crm.contact.get", "crm.contact.update"])
@pytest.mark.parametrize(
    ("item_id", "text"),
    [
        (None, "ID is not defined or invalid."),
        ("x", "ID is not defined or invalid."),
        (66, "Not found"),
        (67, "Access denied"),
    ],
)
async def test_old_errors_have_only_a_text(rest, method, item_id, text):
    rest.portal.missing.update({(2, 66), (3, 66)})
    rest.portal.denied.update({(2, 67), (3, 67)})
    answer = await rest(method, id=item_id, fields={})
    assert answer.status_code == 400
    assert answer.json() == {"error": "", "error_description": text}


async def test_an_old_update_with_a_wrong_person_has_no_code_either(open_portal):
    rest = open_portal(strict_users=True)
    answer = await rest("crm.deal.update", id=1, fields={"ASSIGNED_BY_ID": 999})
    assert (answer.status_code, answer.json()["error"]) == (400, "")


async def test_the_contacts_of_a_deal_say_which_is_primary(rest):
    rest.portal.add_item(2, 1, contactIds=[7, 8])
    links = (await rest("crm.deal.contact.items.get", id=1)).json()["result"]
    assert [(link["CONTACT_ID"], link["IS_PRIMARY"]) for link in links] == [(7, "Y"), (8, "N")]


async def test_a_deal_without_contacts_has_none(rest):
    assert (await rest("crm.deal.contact.items.get", id=1)).json()["result"] == []


async def test_the_contacts_of_a_missing_deal_are_not_found(rest):
    rest.portal.missing.add((2, 1))
    answer = await rest("crm.deal.contact.items.get", id=1)
    assert answer.json() == {"error": "", "error_description": "Not found"}


@pytest.mark.parametrize(("noun", "type_id"), [("lead", 1), ("deal", 2), ("contact", 3), ("company", 4)])
async def test_every_noun_is_added_read_changed_and_listed(rest, noun, type_id):
    number = (await rest(f"crm.{noun}.add", fields={"ASSIGNED_BY_ID": 2})).json()["result"]
    assert (await rest(f"crm.{noun}.update", id=number, fields={"ASSIGNED_BY_ID": 3})).json()["result"] is True
    assert (await rest(f"crm.{noun}.get", id=number)).json()["result"]["ASSIGNED_BY_ID"] == "3"
    listed = (await rest(f"crm.{noun}.list", filter={"ASSIGNED_BY_ID": 3}, select=["ID"])).json()
    assert (listed["result"], listed["total"]) == ([{"ID": str(number)}], 1)
    assert rest.portal.ledger.people(type_id, number) == [2, 3]


async def test_a_lead_has_a_status_where_a_deal_has_a_stage(rest):
    await rest("crm.lead.update", id=7, fields={"STATUS_ID": "JUNK"})
    lead = (await rest("crm.lead.get", id=7)).json()["result"]
    assert (lead["STATUS_ID"], lead["STATUS_SEMANTIC_ID"], "STAGE_ID" in lead) == ("JUNK", "F", False)
    assert rest.portal.find(1, 7).values["stageId"] == "JUNK"


async def test_adding_nothing_is_refused(rest):
    answer = await rest("crm.deal.add", fields="x")
    assert (answer.status_code, answer.json()["error"]) == (400, "")
