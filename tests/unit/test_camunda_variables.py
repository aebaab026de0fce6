"""Variables between Python, messages and the engine."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carex.camunda.variables import check, depth, plain, typed, typed_all, without_json

LONG = "ж" * 4001


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (None, "Null"),
        (True, "Boolean"),
        (5, "Integer"),
        (2**31 - 1, "Integer"),
        (2**31, "Long"),
        (-(2**63), "Long"),
        (1.5, "Double"),
        ("text", "String"),
        ("x" * 4000, "String"),
    ],
)
def test_a_value_has_its_type(value, type):
    assert typed(value) == {"value": value, "type": type}


@pytest.mark.parametrize("value", [{"a": [1, "ж"]}, [1, 2], LONG])
def test_what_has_no_type_of_its_own_is_json(value):
    found = typed(value)
    assert (found["type"], json.loads(found["value"])) == ("Json", value)


def test_a_number_that_no_type_holds_stays_exact_as_text():
    assert typed(2**63) == {"value": "9223372036854775808", "type": "String"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": float("nan")}, {"a": {1, 2}}, "\ud800", "a\0b"])
def test_what_no_engine_can_store_is_refused(value):
    with pytest.raises(ValueError, match=r"finite|not JSON|UTF-8|NUL"):
        typed(value)


def test_an_engine_without_json_gets_a_string():
    assert typed({"a": 1}, json=False) == {"value": '{"a": 1}', "type": "String"}


def test_an_engine_without_json_gets_bytes_when_a_string_is_too_short():
    found = typed({"a": LONG}, json=False)
    assert found["type"] == "Bytes"
    assert json.loads(base64.b64decode(found["value"])) == {"a": LONG}


def test_an_engine_without_json_gets_long_text_as_it_is():
    assert base64.b64decode(typed(LONG, json=False)["value"]).decode() == LONG


def test_only_json_is_rewritten_for_an_engine_without_it():
    given = {"a": {"value": "[1]", "type": "Json"}, "b": {"value": 1, "type": "Integer"}}
    assert without_json(given) == {"a": {"value": "[1]", "type": "String"}, "b": given["b"]}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"value": "x", "type": "string"}, {"value": "x", "type": "String"}),
        ({"value": 5, "type": "String"}, {"value": "5", "type": "String"}),
        ({"value": "5", "type": "Integer"}, {"value": 5, "type": "Integer"}),
        ({"value": 5.0, "type": "Long"}, {"value": 5, "type": "Long"}),
        ({"value": 9007199254740993, "type": "Long"}, {"value": 9007199254740993, "type": "Long"}),
        ({"value": 1, "type": "Double"}, {"value": 1.0, "type": "Double"}),
        ({"value": "TRUE", "type": "Boolean"}, {"value": True, "type": "Boolean"}),
        ({"value": None, "type": "Date"}, {"value": None, "type": "Date"}),
        ({"value": {"a": 1}, "type": "Json"}, {"value": '{"a": 1}', "type": "Json"}),
        ({"value": "[1]", "type": "Json"}, {"value": "[1]", "type": "Json"}),
        ({"value": "eA==", "type": "Bytes"}, {"value": "eA==", "type": "Bytes"}),
        ({"value": "x", "type": "String", "valueInfo": {}, "local": False}, {"value": "x", "type": "String"}),
        ({"value": 5}, {"value": 5, "type": "Integer"}),
        (5, {"value": 5, "type": "Integer"}),
        ([1], {"value": "[1]", "type": "Json"}),
        ({"status": "ok"}, {"value": '{"status": "ok"}', "type": "Json"}),
        ({"value": LONG, "type": "String"}, {"value": f'"{LONG}"', "type": "Json"}),
    ],
)
def test_a_variable_is_taken_in_the_engines_form(given, taken):
    assert check({"v": given}) == ({"v": taken}, [])


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("2026-11-21T10:20:30.123+0300", "2026-11-21T10:20:30.123+0300"),
        ("2026-11-21T10:20:30Z", "2026-11-21T10:20:30.000+0000"),
        ("2026-11-21T10:20:30.5+03:00", "2026-11-21T10:20:30.500+0300"),
        ("2026-11-21 10:20+03", "2026-11-21T10:20:00.000+0300"),
        ("2026-11-21T10:20:30.123456-05:30", "2026-11-21T10:20:30.123-0530"),
    ],
)
def test_a_date_is_rewritten_as_the_engine_wants_it(given, taken):
    assert check({"d": {"value": given, "type": "Date"}}) == ({"d": {"value": taken, "type": "Date"}}, [])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"value": 1, "type": "Boolean"}, "not a Boolean"),
        ({"value": True, "type": "Integer"}, "not a Integer"),
        ({"value": 5.7, "type": "Integer"}, "not a Integer"),
        ({"value": 3_000_000_000, "type": "Integer"}, "not a Integer"),
        ({"value": "١٢", "type": "Long"}, "not a Long"),
        ({"value": "1e999", "type": "Double"}, "finite"),
        ({"value": 10**400, "type": "Double"}, "finite"),
        ({"value": "2026-11-21T10:20:30", "type": "Date"}, "no time zone"),
        ({"value": "2026-13-21T10:20:30Z", "type": "Date"}, "not a Date"),
        ({"value": "soon", "type": "Date"}, "not a Date"),
        ({"value": "{", "type": "Json"}, "not JSON"),
        ({"value": "NaN", "type": "Json"}, "not a number"),
        ({"value": "a", "type": "Bytes"}, "not base64"),
        ({"value": 5, "type": "Bytes"}, "not base64"),
        ({"value": 5, "type": "Null"}, "not Null"),
        ({"value": "rO0AB", "type": "Object"}, "'Object' is not taken"),
        ({"value": "x", "type": "Nope"}, "'Nope' is not taken"),
        ({"value": "x", "type": 5}, "is not taken"),
        ({"value": "a\0b", "type": "String"}, "NUL"),
        ({"value": "\ud800", "type": "String"}, "UTF-8"),
    ],
)
def test_an_unfit_variable_is_named_with_its_reason(given, reason):
    good, (problem,) = check({"fine": {"value": 1}, "v": given})
    assert list(good) == ["fine"]
    assert problem.startswith("variable 'v': ")
    assert reason in problem


@pytest.mark.parametrize(
    "variables", [[], "x", 5, {"": 1}, {"a\nb": 1}, {"n" * 256: 1}, {str(n): n for n in range(201)}]
)
def test_variables_of_another_shape_are_refused(variables):
    good, problems = check(variables)
    assert good == {}
    assert len(problems) == 1


def test_nesting_is_bounded():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert check({"v": {"value": deep, "type": "Json"}})[1] == ["variable 'v': it is nested deeper than 20"]
    assert check({"v": {"value": "[" * 100_000, "type": "Json"}})[0] == {}


def test_no_variables_are_fine():
    assert check(None) == check({}) == ({}, [])


def test_a_handler_sees_plain_values():
    variables = {
        "count": {"value": 9007199254740993, "type": "Long"},
        "order": {"value": '{"items": [1]}', "type": "Json"},
        "old": {"value": "[1]", "type": "Object", "valueInfo": {"serializationDataFormat": "application/json"}},
        "java": {"value": "rO0AB", "type": "Object", "valueInfo": {"serializationDataFormat": "application/x-java"}},
        "file": {"value": None, "type": "File", "valueInfo": {"filename": "a"}},
        "raw": {"value": "eA==", "type": "Bytes"},
        "broken": {"value": "{", "type": "Json"},
    }
    assert plain(variables) == {
        "count": 9007199254740993,
        "order": {"items": [1]},
        "old": [1],
        "java": "rO0AB",
        "file": None,
        "raw": "eA==",
        "broken": "{",
    }


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, max_size=5))
def test_what_a_handler_returns_comes_back_as_it_was(values):
    variables = typed_all(values)
    assert check(variables) == (variables, [])
    assert plain(variables) == values


@given(
    st.recursive(VALUES | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
)
def test_whatever_is_sent_is_judged_and_never_raises(sent):
    good, problems = check({"v": sent})
    assert len(good) + len(problems) == 1
    json.dumps(good, allow_nan=False)


def test_depth_counts_lists_and_dicts():
    assert [depth(5), depth([]), depth({"a": [{}]})] == [0, 1, 3]
