"""Bracket syntax means what PHP says it means."""

import pytest
from carex_bitrix24.simulator.phpform import decode_multipart, decode_query, php_json
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "2"}),
        ("a", {"a": ""}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[x][y]=1", {"a": {"x": {"y": "1"}}}),
        ("a[x]=1&a[y]=2&a[x]=3", {"a": {"x": "3", "y": "2"}}),
        ("a[0]=x&a[1]=y", {"a": ["x", "y"]}),
        ("a[1]=y&a[0]=x", {"a": {"1": "y", "0": "x"}}),
        ("a[5]=x&a[]=y", {"a": {"5": "x", "6": "y"}}),
        ("a[01]=x&a[]=y", {"a": {"01": "x", "0": "y"}}),
        ("a[][b]=1&a[][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
        ("a=1&a[x]=2", {"a": {"x": "2"}}),
        ("a[x]=1&a=2", {"a": "2"}),
        ("a.b=1&c d=2", {"a_b": "1", "c_d": "2"}),
        ("a[b=1", {"a_b": "1"}),
        ("a[b]c=1", {"a": {"b": "1"}}),
        ("a[ ]=1", {"a": ["1"]}),
        ("[x]=1&=2", {}),
        ("FILTER%5B%3EID%5D=5", {"FILTER": {">ID": "5"}}),
        ("t=a+b%20c%2Bd", {"t": "a b c+d"}),
        ("document_id[0]=crm&document_id[2]=DEAL_1", {"document_id": {"0": "crm", "2": "DEAL_1"}}),
        ("n=%D0%98%D1%80%D0%B0", {"n": "Ира"}),
    ],
)
def test_a_query_is_decoded_as_php_does(query, expected):
    assert decode_query(query) == expected


def test_a_multipart_body_gives_the_same_parameters_and_leaves_files_out():
    body = (
        b'--X\r\nContent-Disposition: form-data; name="fields[TITLE]"\r\n\r\n\xd0\x98\xd1\x80\xd0\xb0\r\n'
        b'--X\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nfile\r\n--X--\r\n'
    )
    assert decode_multipart(body, "multipart/form-data; boundary=X") == {"fields": {"TITLE": "Ира"}}


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, []), ({"0": "a", "1": "b"}, ["a", "b"]), ({"1": "b"}, {"1": "b"}), ({"x": 1}, {"x": 1})],
)
def test_a_map_becomes_the_json_that_php_makes_of_it(values, expected):
    assert php_json(values) == expected


@given(st.text(alphabet="a[]=&%+ .0", max_size=30))
def test_no_query_breaks_the_decoder(query):
    assert isinstance(decode_query(query), dict)
