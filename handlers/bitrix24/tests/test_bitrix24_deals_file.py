"""Files of deals to try the rules on."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from carex_bitrix24.deals_file import Deal, read_deals, strangers

from carex.errors import UsageError


def deals(tmp_path: Path, text: str) -> list[Deal]:
    file = tmp_path / "deals.txt"
    file.write_text(text, encoding="utf-8")
    return read_deals(file)


@pytest.mark.parametrize(
    "text",
    [
        "id,pipeline,amount,owner\n7,0,5000,3 4\n",
        "ID;CATEGORY_ID;OPPORTUNITY;owners\n7;0;5000;3,4\n",
        '[{"id": "7", "categoryId": "0", "opportunity": "5000", "owners": [3, 4]}]',
        '{"deals": [{"deal_id": 7, "Pipeline": "0", "amount": "5000", "owner": "3, 4"}]}',
    ],
)
def test_files_of_many_kinds_mean_the_same(tmp_path: Path, text: str) -> None:
    assert deals(tmp_path, text) == [Deal("7", None, {"pipeline": "0", "amount": "5000", "owners": [3, 4]})]


def test_deals_with_times_come_in_their_order(tmp_path: Path) -> None:
    found = deals(tmp_path, "id,created\n2,2026-01-02T10:00:00+00:00\n1,01.01.2026 10:00\n")

    assert [(deal.id, deal.at) for deal in found] == [
        ("1", datetime(2026, 1, 1, 10).timestamp()),
        ("2", 1767348000.0),
    ]


def test_a_deal_without_an_id_has_its_line_for_one(tmp_path: Path) -> None:
    assert [deal.id for deal in deals(tmp_path, "amount\n5\n6\n")] == ["line-1", "line-2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "is no list of deals"),
        ("[{", "is not JSON"),
        ("id,created\n1,soon\n", "deal 1: 'soon' is not a time"),
        ("id,created\n1,2026-01-01\n2,\n", "1 deals have no time"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        deals(tmp_path, text)


def test_a_field_of_ones_own_keeps_its_name(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"ufCrm_Region": "Omsk"}

    assert deals(tmp_path, "id,ufCrm_Region\n1,Omsk\n") == [Deal("1", None, facts)]


def test_times_are_of_the_installations_time_zone(tmp_path: Path) -> None:
    file = tmp_path / "deals.csv"
    file.write_text("id,created\n1,2026-01-02 13:00\n2,2026-01-02T10:00:00Z\n")

    assert [deal.at for deal in read_deals(file, ZoneInfo("Europe/Moscow"))] == [1767348000.0, 1767348000.0]


def test_a_file_of_an_older_spreadsheet_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deals.csv"
    file.write_bytes("id;source\n1;Сайт\n".encode("cp1251"))

    assert read_deals(file)[0].facts == {"source": "Сайт"}


def test_columns_that_mean_nothing_are_named(tmp_path: Path) -> None:
    found = deals(tmp_path, "id,amuont,amount,ufCrmCity,title\n1,5,5,Omsk,A deal\n")

    assert strangers(found, {"ufCrmCity"}) == ["amuont"]
