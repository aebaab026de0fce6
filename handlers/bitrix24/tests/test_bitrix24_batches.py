from typing import Any
from urllib.parse import parse_qsl

import pytest
from carex_bitrix24.answers import Kind, Verdict
from carex_bitrix24.batches import command, split


def decoded(text: str | None) -> list[tuple[str, str]]:
    assert text is not None
    return parse_qsl(text.partition("?")[2], keep_blank_values=True)


@pytest.mark.parametrize(
    ("params", "pairs"),
    [
        ({}, []),
        ({"id": 7}, [("id", "7")]),
        ({"fields": {"title": "Сделка & Ко = 5+5%"}}, [("fields[title]", "Сделка & Ко = 5+5%")]),
        ({"filter": {">=createdTime": "2026"}}, [("filter[>=createdTime]", "2026")]),
        ({"select": ["id", "title"]}, [("select[0]", "id"), ("select[1]", "title")]),
        ({"text": ""}, [("text", "")]),
        ({"amount": 1.5}, [("amount", "1.5")]),
    ],
)
def test_a_call_becomes_text_as_php_reads_it(params: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
    assert decoded(command("crm.item.list", params)) == pairs


@pytest.mark.parametrize(
    "params",
    [
        {"fields": {"title": None}},
        {"active": True},
        {"ids": []},
        {"fields": {"of": {}}},
        {"file": b"bytes"},
        {"text": "see $result[x][y]"},
        {"fields": {"a]b": 1}},
        {"fields": {"$result[x]": 1}},
        {"text": "x" * 30_000},
        {"ids": list(range(300))},
    ],
    ids=[
        "null",
        "true",
        "empty list",
        "empty map",
        "file",
        "reference",
        "bracket",
        "reference in a name",
        "long",
        "many",
    ],
)
def test_what_text_cannot_say_goes_alone(params: dict[str, Any]) -> None:
    assert command("crm.item.update", params) is None


def test_references_are_for_those_who_ask_for_them() -> None:
    text = command("crm.item.get", {"id": "$result[a][item][id]"}, references=True)

    assert decoded(text) == [("id", "$result[a][item][id]")]


def answer(**parts: Any) -> Verdict:
    empty: dict[str, Any] = {"result": [], "result_error": [], "result_total": [], "result_next": [], "result_time": []}
    return Verdict(Kind.DONE, result={**empty, **parts})


def test_each_command_has_its_own_outcome() -> None:
    given = answer(result={"a": {"item": 1}}, result_error={"b": {"error": "NOT_FOUND", "error_description": "no"}})

    verdicts = split(given, ["a", "b"])

    assert [each.kind for each in verdicts] == [Kind.DONE, Kind.MISSING]
    assert verdicts[0].result == {"item": 1}


@pytest.mark.parametrize("parts", [{"result": {"a": None}}, {"result_time": {"a": {"operating_reset_at": 5}}}])
def test_null_is_a_result(parts: dict[str, Any]) -> None:
    (verdict,) = split(answer(**parts), ["a"])

    assert (verdict.kind, verdict.result) == (Kind.DONE, None)


@pytest.mark.parametrize("given", [answer(), Verdict(Kind.DONE, result=[]), Verdict(Kind.DONE, result="x")])
def test_a_command_of_which_nothing_is_said_may_have_been_carried_out(given: Verdict) -> None:
    assert [each.kind for each in split(given, ["a"])] == [Kind.OUTAGE]


def test_a_batch_that_failed_as_a_whole_failed_for_each() -> None:
    limited = Verdict(Kind.LIMITED, "too many")

    assert split(limited, ["a", "b"]) == [limited, limited]
