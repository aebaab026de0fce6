"""`1c_get`: one object, many objects, and virtual tables."""

import uuid
from typing import Any

import pytest
from carex_onec.simulator import Entity, Publication

from carex import BpmnError, Fail

PARTNER, RATES = "Catalog_Контрагенты", "InformationRegister_КурсыВалют"
ONE = str(uuid.UUID(int=1))


@pytest.fixture
def base(shop: Any) -> Any:
    base = shop()
    for number in range(1, 8):
        base.add(PARTNER, Ref_Key=str(uuid.UUID(int=number)), Description=f"О'Нил №{number}", ИНН=f"{number:010}")
    return base


def test_one_object_is_read_by_its_reference(base: Any, run: Any) -> None:
    result = run(base, "1c_get", {"entity": PARTNER, "key": ONE, "select": ["ИНН", "Description"]}).result

    assert result == {"object": {"ИНН": "0000000001", "Description": "О'Нил №1"}}


def test_a_missing_object_is_an_error_for_the_process(base: Any, run: Any) -> None:
    outcome = run(base, "1c_get", {"entity": PARTNER, "key": str(uuid.UUID(int=99))})

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "NOT_FOUND"


@pytest.mark.parametrize(
    "asked",
    [
        {"where": {"Description": "О'Нил №3"}},
        {"filter": "ИНН eq '0000000003'"},
        {"filter": "ИНН gt '0000000002' or ИНН eq '0'", "where": {"Description": "О'Нил №3"}},
        {"where": {"Ref_Key": str(uuid.UUID(int=3))}},
        {"filter": "not (Description ne 'О''Нил №3') and DeletionMark eq false"},
        {"filter": "substringof('№3', Description)"},
    ],
)
def test_objects_are_found_by_values_and_conditions(base: Any, run: Any, asked: dict[str, Any]) -> None:
    result = run(base, "1c_get", {"entity": PARTNER, **asked}).result

    assert [row["ИНН"] for row in result["objects"]] == ["0000000003"]


def test_pages_are_read_in_an_order_until_the_limit(shop: Any, run: Any) -> None:
    base = shop()
    for number in range(1100, 0, -1):
        base.add(PARTNER, Ref_Key=str(uuid.UUID(int=number)), Отсрочка=number)

    result = run(base, "1c_get", {"entity": PARTNER, "limit": 1001, "select": ["Отсрочка"]}).result

    assert [int(row["Отсрочка"]) for row in result["objects"]] == [*range(1, 1002)]
    assert [each.method for each in base.log] == ["GET"] * 4  # three pages, and the end of the session


def test_the_last_values_of_a_register_are_read(shop: Any, run: Any) -> None:
    base = shop()
    for day, rate in (("01", 90), ("02", 91), ("03", 99)):
        base.add(RATES, Period=f"2026-01-{day}T00:00:00", Валюта_Key=ONE, Курс=rate)
    asked = {"entity": RATES, "table": "SliceLast(Period=datetime'2026-01-02T12:00:00')"}

    result = run(base, "1c_get", asked).result

    assert [row["Курс"] for row in result["objects"]] == [91]


def test_a_record_is_read_by_its_dimensions(shop: Any, run: Any) -> None:
    base = shop()
    base.add(RATES, Period="2026-01-31T00:00:00", Валюта_Key=ONE, Курс=90)
    key = {"Period": "2026-01-31T00:00:00", "Валюта_Key": ONE}

    assert run(base, "1c_get", {"entity": RATES, "key": key}).result["object"]["Курс"] == 90


def test_rows_that_the_user_may_not_see_are_no_login_fault(base: Any, run: Any) -> None:
    base.entities[PARTNER].hidden = lambda row: row["ИНН"].endswith("7")

    refused = run(base, "1c_get", {"entity": PARTNER})
    allowed = run(base, "1c_get", {"entity": PARTNER, "allowed_only": True})

    assert isinstance(refused, Fail)
    assert "allowed_only" in refused.reason
    assert allowed.result["count"] == 6


def test_what_odata_cannot_give_is_refused_by_name(run: Any) -> None:
    base = Publication(Entity("Catalog_Файлы", {"Данные": "Storage"}))
    base.add("Catalog_Файлы", Ref_Key=ONE)

    assert isinstance(run(base, "1c_get", {"entity": "Catalog_Файлы"}), Fail)
    assert run(base, "1c_get", {"entity": "Catalog_Файлы", "select": ["Code"]}).result["count"] == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"entity": PARTNER, "key": ONE, "filter": "x eq 1"},
        {"entity": PARTNER, "limit": 0},
        {"entity": PARTNER, "key": "1"},
        {"entity": RATES, "table": "SliceLast()?$filter=x"},
    ],
)
def test_what_cannot_be_meant_is_refused(base: Any, run: Any, asked: dict[str, Any]) -> None:
    assert isinstance(run(base, "1c_get", asked), Fail)
    assert base.log == []
