from typing import Any

import pytest
from carex_bitrix24 import Settings, plugin
from carex_bitrix24.events import item_added
from carex_bitrix24.webhooks import random_deal

from carex import BadCall, Call


def document(name: Any) -> dict[str, Any]:
    return {"document_id": {"0": "crm", "1": "CCrmDocumentDeal", "2": name}, "auth": {"domain": "portal.example"}}


@pytest.mark.parametrize("path", ["/CarexRandom", "/CompanyRandom"])
def test_both_paths_give_a_deal_to_somebody(path: str) -> None:
    task = plugin.webhooks[path].function(Call(query={"deal_id": "1", "cont_id": "2"}))

    assert (task.type, task.key, task.source) == ("bitrix_assign", "bitrix_assign:1", "robot")
    assert task.payload == {"deal_id": 1, "cont_id": [2]}
    assert plugin.handlers[task.type].problems(task.payload) == []


@pytest.mark.parametrize(
    "call",
    [
        Call(query={"deal_id": "7"}),
        Call(form={"deal_id": "7"}),
        Call(json={"deal_id": 7}),
        Call(form=document("DEAL_7")),
        Call(form={"document_id": ["crm", "CCrmDocumentDeal", "DEAL_7"]}),
        Call(form={"document_id": {0: "crm", 2: "DEAL_7"}}),
        Call(json={"document_id": ["crm", "CCrmDocumentDeal", "DEAL_7"]}),
        Call(query={"document_id": {"2": "DEAL_7"}}),
        Call(query={"deal_id": "7"}, form=document("DEAL_7")),
        Call(query={"deal_id": "{{ID}}"}, form=document("DEAL_7")),
        Call(query={"deal_id": "{=Document:ID}"}, form=document("DEAL_7")),
        Call(query={"deal_id": ""}, form=document("DEAL_7")),
        Call(query={"deal_id": "7"}, form={"document_id": {"0": "crm"}}),
    ],
)
def test_the_deal_is_found_wherever_it_stands(call: Call) -> None:
    assert random_deal(call).payload["deal_id"] == 7


NO_TEXTS = ["", "0", "-1", "+1", " 1", "1 ", "1_0", "1e3", "1.0", "0x1", "01", "1,2", "abc", "١٢", "1٢", "{{ID}}"]
NO_NUMBERS = [True, 1.0, 0, -5, 2**63, "9223372036854775808", "1" * 30]


@pytest.mark.parametrize("value", [*NO_TEXTS, *NO_NUMBERS, ["1"], {"a": "1"}, {"0": "1"}, [], {}])
def test_a_deal_id_that_is_none_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadCall, match=r"expected a positive whole number such as 123, got .+") as refused:
        random_deal(Call(json={"deal_id": value}))

    assert refused.value.field == "deal_id"


def test_a_call_without_a_deal_is_refused() -> None:
    with pytest.raises(BadCall, match="got nothing") as refused:
        random_deal(Call())

    assert refused.value.field == "deal_id"


def test_a_bad_deal_id_is_refused_although_the_document_is_good() -> None:
    with pytest.raises(BadCall):
        random_deal(Call(query={"deal_id": "abc"}, form=document("DEAL_7")))


@pytest.mark.parametrize(
    "call",
    [
        Call(query={"deal_id": "1"}, form=document("DEAL_2")),
        Call(query={"deal_id": "1"}, form={"deal_id": "2"}),
        Call(query={"deal_id": "1"}, json={"deal_id": 2}),
    ],
)
def test_two_different_deals_are_refused(call: Call) -> None:
    with pytest.raises(BadCall, match="deal 1 in the address, deal 2 in") as refused:
        random_deal(call)

    assert refused.value.field == "deal_id"


@pytest.mark.parametrize("name", ["LEAD", "CONTACT", "COMPANY"])
def test_a_robot_may_stand_on_other_items_too(name: str) -> None:
    task = random_deal(Call(form=document(f"{name}_7")))

    assert (task.payload, task.key) == ({f"{name.lower()}_id": 7}, f"bitrix_assign:{name.lower()}:7")


def test_a_deal_and_a_lead_of_the_same_number_are_two_items() -> None:
    with pytest.raises(BadCall, match="two different items: deal 7 in the address, lead 7 in document_id"):
        random_deal(Call(query={"deal_id": "7"}, form=document("LEAD_7")))


@pytest.mark.parametrize(("value", "was"), [("user_9", {"was": 9}), ("9", {"was": 9}), ("{{Who}}", {})])
def test_the_robot_may_say_who_was_responsible(value: str, was: dict[str, int]) -> None:
    payload = random_deal(Call(query={"deal_id": "7", "was": value})).payload

    assert payload == {"deal_id": 7, "cont_id": [], **was}


@pytest.mark.parametrize("name", ["DYNAMIC_128_7", "DEAL_", "DEAL_x", "DEAL_7x", "deal_7", ["a"]])
def test_other_documents_are_refused(name: Any) -> None:
    with pytest.raises(BadCall, match=r"a deal, lead, contact or company such as DEAL_123") as refused:
        random_deal(Call(query={"deal_id": "7"}, form=document(name)))

    assert refused.value.field == "document_id"


@pytest.mark.parametrize("name", ["DEAL_0", "DEAL_" + "9" * 30])
def test_the_documents_number_must_be_an_id(name: str) -> None:
    with pytest.raises(BadCall, match="positive whole number"):
        random_deal(Call(form=document(name)))


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadCall, match="JSON object"):
        random_deal(Call(query={"deal_id": "1"}, json=[1]))


@pytest.mark.parametrize(
    ("value", "contacts"),
    [
        (None, []),
        ("", []),
        (" ", []),
        ("0", []),
        ("{{Contact: ID}}", []),
        ("{=Document:CONTACT_ID}", []),
        (5, [5]),
        ("5", [5]),
        ("5,6", [5, 6]),
        ("5, 6", [5, 6]),
        ("5 6", [5, 6]),
        ("5,5,6", [5, 6]),
        ("5,{{Contact 2}}", [5]),
        (["5", 6], [5, 6]),
        ([], []),
    ],
)
def test_contacts_may_come_in_many_ways(value: Any, contacts: list[int]) -> None:
    assert random_deal(Call(json={"deal_id": 1, "cont_id": value})).payload["cont_id"] == contacts


@pytest.mark.parametrize("value", ["abc", "-5", "5,x", "1e3", "٥", "9" * 30, {"a": "5"}, True, 5.0, [[5]], [{}], -1])
def test_contacts_that_are_none_are_refused_by_name(value: Any) -> None:
    with pytest.raises(BadCall, match="contact ids such as 5 or 5,6") as refused:
        random_deal(Call(json={"deal_id": 1, "cont_id": value}))

    assert refused.value.field == "cont_id"


def test_too_many_contacts_are_refused() -> None:
    with pytest.raises(BadCall, match="at most 50 contacts"):
        random_deal(Call(query={"deal_id": "1", "cont_id": ",".join(map(str, range(1, 52)))}))


def test_a_contact_in_the_form_counts_if_the_address_has_none() -> None:
    task = random_deal(Call(query={"deal_id": "1", "cont_id": "{{Contact}}"}, form={"cont_id": "9"}))

    assert task.payload["cont_id"] == [9]


EVENTS = Settings.model_validate({"application_token": "t0ken"})


def event(name: str = "ONCRMDEALADD", token: str = "t0ken", id: Any = "7") -> Call:
    return Call(form={"event": name, "data": {"FIELDS": {"ID": id}}, "auth": {"application_token": token}})


def test_a_new_deal_is_the_same_work_whether_an_event_or_a_robot_tells_of_it() -> None:
    told, robot = item_added(event(), EVENTS), random_deal(Call(query={"deal_id": "7"}))

    assert (told.type, told.key, told.payload) == (robot.type, robot.key, {"deal_id": 7})


@pytest.mark.parametrize("name", ["lead", "contact", "company"])
def test_other_new_items_are_given_away_too(name: str) -> None:
    assert item_added(event(f"ONCRM{name.upper()}ADD"), EVENTS).payload == {f"{name}_id": 7}


@pytest.mark.parametrize(
    ("call", "settings", "field"),
    [
        (event(token="other"), EVENTS, "auth"),
        (event(token=""), EVENTS, "auth"),
        (event(), Settings(), "auth"),
        (event("ONCRMDEALUPDATE"), EVENTS, "event"),
        (event(id="x"), EVENTS, "data"),
        (Call(), EVENTS, "auth"),
    ],
)
def test_an_event_that_is_not_ours_to_handle_is_refused(call: Call, settings: Settings, field: str) -> None:
    with pytest.raises(BadCall) as refused:
        item_added(call, settings)

    assert refused.value.field == field
    assert "t0ken" not in str(refused.value)
