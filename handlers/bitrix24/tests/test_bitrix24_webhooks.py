from typing import Any

import pytest
from carex_bitrix24 import plugin
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
    with pytest.raises(BadCall, match="1 in the address, 2 in") as refused:
        random_deal(call)

    assert refused.value.field == "deal_id"


@pytest.mark.parametrize(
    "name", ["LEAD_7", "CONTACT_7", "DYNAMIC_128_7", "DEAL_", "DEAL_x", "DEAL_7x", "deal_7", ["a"]]
)
def test_only_deals_are_supported(name: Any) -> None:
    with pytest.raises(BadCall, match=r"only deals \(DEAL_123\)") as refused:
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
