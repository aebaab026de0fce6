"""Bodies and query strings, decoded."""

from __future__ import annotations

from typing import Any

import pytest

from carex.server.answers import Problem
from carex.server.decode import nested, parse_json


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("deal_id=1&cont_id=2", {"deal_id": "1", "cont_id": "2"}),
        ("document_id[0]=crm&document_id[2]=DEAL_1", {"document_id": {"0": "crm", "2": "DEAL_1"}}),
        ("document_id%5B2%5D=DEAL_1", {"document_id": {"2": "DEAL_1"}}),
        ("a[]=1&a[]=2", {"a": {"0": "1", "1": "2"}}),
        ("a[5]=1&a[]=2", {"a": {"5": "1", "6": "2"}}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a=1&a=2", {"a": "2"}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b]=2&a=1", {"a": "1"}),
        ("cont_id=", {"cont_id": ""}),
        ("a[b=1", {"a[b": "1"}),
        ("a]b[=1", {"a]b[": "1"}),
        ("[a]=1", {"[a]": "1"}),
        ("name=%D0%98%D0%B2%D0%B0%D0%BD+%D0%9F", {"name": "Иван П"}),
        ("name=%ff", {"name": "\ufffd"}),
        ("", {}),
    ],
)
def test_brackets_are_decoded_as_php_does(text: str, found: dict[str, Any]) -> None:
    assert nested(text) == found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a=%00", "bad_text"),
        ("&".join(f"a{n}=1" for n in range(1001)), "too_many_fields"),
        ("a" + "[b]" * 100 + "=1", "too_deep"),
    ],
)
def test_a_form_that_nobody_sends_by_accident_is_refused(text: str, code: str) -> None:
    with pytest.raises(Problem) as refused:
        nested(text)
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 2}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"a": "\x00"}',
        b'{"a": "\xff"}',
        b"[" * 65 + b"]" * 65,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_json_that_cannot_be_kept_as_it_is_meant_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse_json(body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"имя": "Иван 😀"}'.encode(), {"имя": "Иван 😀"}),
        (b'\xef\xbb\xbf{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        (b'{"a": 18446744073709551616}', {"a": 2**64}),
    ],
)
def test_other_json_is_taken_as_it_is(body: bytes, found: Any) -> None:
    assert parse_json(body) == found
