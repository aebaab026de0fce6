"""What people type: ids, and until when."""

from datetime import datetime, timezone

import pytest

from carex.errors import UsageError
from carex.people.until import parse_until, written
from carex.people.user import parse_id

NOW = 1_000_000.0


@pytest.mark.parametrize(("text", "id"), [("1", 1), ("42", 42), ("9223372036854775807", 2**63 - 1)])
def test_an_id_is_a_whole_number_above_zero(text, id):
    assert parse_id(text) == id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "+1",
        "01",
        "1.0",
        "1e3",
        " 1",
        "1\n",
        "abc",
        "١",
        "１",
        "9223372036854775808",
        "9" * 19,
        "9" * 5000,
    ],
)
def test_anything_else_is_refused_as_an_id(text):
    with pytest.raises(UsageError, match="is not an employee's id") as raised:
        parse_id(text)
    assert len(raised.value.message) < 100


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("30m", NOW + 1800),
        ("2h", NOW + 7200),
        ("3d", NOW + 3 * 86400),
        ("1w", NOW + 7 * 86400),
        ("2030-01-31", datetime(2030, 1, 31).timestamp()),
        (" 2030-01-31 18:00 ", datetime(2030, 1, 31, 18).timestamp()),
        ("31.01.2030", datetime(2030, 1, 31).timestamp()),
        ("31.01.2030 18:00", datetime(2030, 1, 31, 18).timestamp()),
        ("2030-01-31T18:00:00+03:00", datetime(2030, 1, 31, 15, tzinfo=timezone.utc).timestamp()),
        ("2030-01-31T15:00:00Z", datetime(2030, 1, 31, 15, tzinfo=timezone.utc).timestamp()),
    ],
)
def test_dates_and_lengths_of_time_are_understood(text, at):
    assert parse_until(text, NOW) == at


@pytest.mark.parametrize("text", ["", "soon", "2x", "-2h", "2030-02-30", "32.01.2030", "9" * 12 + "d", "9" * 400 + "w"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(UsageError, match="is not a date or a length of time"):
        parse_until(text, NOW)


def test_a_time_is_written_as_it_can_be_typed():
    assert written(parse_until("2030-01-31 18:00", NOW)) == "2030-01-31 18:00"
