"""What `redact` hides, however it is written, and what it leaves alone."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carex.masking import header_secrets, hide, redact, redacted
from carex.settings import load

SECRET = "s3cr/et \"+%&'\\ wörd"


@pytest.fixture(autouse=True)
def _hidden() -> Iterator[None]:
    hide({SECRET, "plainsecret123456"})
    yield
    hide(())


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(quote(SECRET)),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(SECRET))[3:-3],
        repr(SECRET)[1:-1],
        html.escape(SECRET),
    ],
)
def test_a_secret_is_hidden_in_every_notation(written: str) -> None:
    assert redact(f"<{written}>") == "<***>"


def test_a_quotation_in_a_quotation_hides_it_as_well() -> None:
    found = redact(repr(repr(SECRET)))
    assert ("***" in found, "s3cr" in found, "rd" in found) == (True, False, False)


@given(st.text(max_size=12), st.text(max_size=12), st.sampled_from(["utf-8", "latin-1"]))
def test_nothing_of_it_is_left_in_base64_but_the_edges(before: str, after: str, encoding: str) -> None:
    data = before.encode() + SECRET.encode(encoding) + after.encode()
    for encoded in (b64encode(data).decode(), urlsafe_b64encode(data).decode()):
        assert "***" in redact(f"Basic {encoded}")
        assert SECRET[2:10].encode() not in encoded.encode()


@pytest.mark.parametrize("length", range(12, 18))
def test_what_is_left_of_a_secret_that_was_cut_off_is_hidden_too(length: int) -> None:
    assert redact(f"at {'plainsecret123456'[:length]}") == "at ***"


@pytest.mark.parametrize(
    "text", ["", "plain", "plainsecret", "Basic cGxhaW4=", "s3cr", "https://portal.example/rest/1/"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_values_are_redacted_through_and_through() -> None:
    value = {"a": [SECRET, 1, None, {SECRET: (True, f"x{SECRET}")}], "b": 1.5}
    assert redacted(value) == {"a": ["***", 1, None, {"***": [True, "x***"]}], "b": 1.5}


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("Authorization: Bearer abcdef", {"Bearer abcdef", "abcdef"}),
        ("X-Key:abcdef", {"abcdef"}),
        ("https://host/abcdef", set()),
        ("abcdef", set()),
    ],
)
def test_of_a_header_the_value_is_a_secret_too(header: str, parts: set[str]) -> None:
    assert header_secrets(header) == parts


def test_data_are_not_spoilt_by_a_short_password() -> None:
    hide({"post"})
    assert (redacted({"mail": "post@example.org"}), redact("as post")) == ({"mail": "post@example.org"}, "as ***")


def test_a_default_that_everybody_knows_is_no_secret(tmp_path: Path) -> None:
    load(tmp_path, None, {}, {"RABBITMQ_HOST": "host"})
    assert redact("guest") == "guest"


def test_settings_hide_their_secrets_when_they_are_read(tmp_path: Path) -> None:
    load(tmp_path, None, {}, {"RABBITMQ_PASSWORD": "hunter2hunter2", "REDIS_URL": "redis://:pass%2Fword@host/0"})
    assert redact("hunter2hunter2, pass%2Fword, pass/word") == "***, ***, ***"
