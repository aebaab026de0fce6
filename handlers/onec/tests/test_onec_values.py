"""Values in addresses and in comparisons."""

from typing import Any
from urllib.parse import unquote

import pytest
from carex_onec.values import equal_to, literal, localised, numbered, place, query_of, same, unknown

from carex import Fail

GUID = "8d04ce3c-0000-0000-0000-0000000000aB"


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("Ref_Key", GUID, f"guid'{GUID}'"),
        ("Комментарий", GUID, f"'{GUID}'"),
        ("Date", "2026-01-31T00:00:00", "datetime'2026-01-31T00:00:00'"),
        ("Description", "О'Нил", "'О''Нил'"),
        ("Code", "1", "'1'"),
        ("Лимит", 1.5, "1.5"),
        ("DeletionMark", False, "false"),
    ],
)
def test_a_value_is_written_as_odata_wants_it(name: str, value: Any, written: str) -> None:
    assert literal(name, value) == written


def test_conditions_are_joined() -> None:
    assert equal_to({"Code": "1", "Лимит": 2}) == "Code eq '1' and Лимит eq 2"


def test_a_path_keeps_its_quotes_and_hides_slashes() -> None:
    path = place("InformationRegister_Штрихкоды", {"Штрихкод": "a/b c?"})

    assert path == "InformationRegister_Штрихкоды(" + path.partition("(")[2]
    assert "a%2Fb%20c%3F" in path
    assert unquote(path) == "InformationRegister_Штрихкоды(Штрихкод='a/b c?')"


def test_a_query_has_no_plus_in_it() -> None:
    assert query_of({"$filter": "a eq 'b+c'", "$skip": None}) == "$filter=a%20eq%20'b%2Bc'"


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        ("2026-01-31T18:00:00.000+0000", "2026-01-31T21:00:00"),
        ("2026-01-31T18:00:00Z", "2026-01-31T21:00:00"),
        ("2026-01-31T23:30+05:00", "2026-01-31T21:30:00"),
        ("2026-01-31T18:00:00.000", "2026-01-31T18:00:00"),
        ("2026-01-31", "2026-01-31"),
    ],
)
def test_a_moment_becomes_the_servers(moment: str, there: str) -> None:
    assert localised({"rows": [{"when": moment}]}, "Europe/Moscow") == {"rows": [{"when": there}]}


def test_a_moment_of_an_unknown_zone_is_refused() -> None:
    with pytest.raises(Fail, match="time_zone"):
        localised("2026-01-31T18:00:00Z", None)


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (5, "5"),
        ("5", 5.0),
        (1.10, 1.1),
        ("Код ", "Код"),
        (GUID, GUID.lower()),
        (None, "0001-01-01T00:00:00"),
        (None, "00000000-0000-0000-0000-000000000000"),
        ([{"a": 1}], [{"a": "1", "b": 2}]),
        (True, True),
    ],
)
def test_what_1c_made_of_a_value_is_the_same(sent: Any, got: Any) -> None:
    assert same(sent, got)


@pytest.mark.parametrize(
    ("sent", "got"),
    [(5, "6"), (True, 1), (False, ""), ("x", "X"), (None, "x"), ([{"a": 1}], []), ("да", 1), ([{"a": 1}], [{}])],
)
def test_what_differs_is_seen(sent: Any, got: Any) -> None:
    assert not same(sent, got)


def test_rows_are_numbered_from_one() -> None:
    data = numbered({"Товары": [{"a": 1, "LineNumber": 7}, {"a": 2}], "Теги": ["x"]})

    assert [row["LineNumber"] for row in data["Товары"]] == ["1", "2"]
    assert data["Теги"] == ["x"]


def test_unknown_names_are_found_in_rows_too() -> None:
    there = {"a": 1, "Товары": [{"LineNumber": "1", "b": 2}]}

    assert unknown({"a": 1, "x": 1, "Товары": [{"b": 1, "y": 2}]}, there) == ["x", "Товары/y"]
