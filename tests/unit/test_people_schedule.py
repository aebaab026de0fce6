"""Weekly hours, time zones, holidays."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from carex.errors import ConfigError, UsageError
from carex.people.holidays import NO_HOLIDAYS, Holidays, read_holidays
from carex.people.schedule import parse_schedule, parse_time_zone

MOSCOW, BERLIN = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Berlin")
WEEK = "mon-fri 09:00-18:00, sat 10:00-14:00"


def at(text: str, zone: ZoneInfo = MOSCOW, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-11-23 08:59:59", False),
        ("2026-11-23 09:00", True),
        ("2026-11-27 17:59", True),
        ("2026-11-27 18:00", False),
        ("2026-11-28 10:00", True),
        ("2026-11-28 14:00", False),
        ("2026-11-29 12:00", False),
    ],
)
def test_a_working_week(moment, on):
    assert parse_schedule(WEEK).is_on(at(moment), MOSCOW, NO_HOLIDAYS) is on


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-11-27 22:00", True),  # Friday's shift
        ("2026-11-28 05:59", True),
        ("2026-11-28 06:00", False),
        ("2026-11-28 22:30", False),
        ("2026-11-23 03:00", False),  # Sunday had none
    ],
)
def test_a_night_shift_goes_on_into_the_next_day(moment, on):
    assert parse_schedule("mon-fri 22:00-06:00").is_on(at(moment), MOSCOW, NO_HOLIDAYS) is on


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("пн-пт 9-18, сб 10-14", WEEK),
        ("Mon-Fri 9:00-18:00; Saturday 10:00–14:00", WEEK),
        ("mon,tue,wed,thu,fri 09:00-18:00 sat 10-14", WEEK),
        ("daily 8-20", "mon-sun 08:00-20:00"),
        ("fri-mon 9-18", "fri,sat,sun,mon 9-18"),
        ("mon 9-13 14-18", "mon 9-13, mon 14-18"),
        ("always", ""),
    ],
)
def test_a_schedule_can_be_written_in_several_ways(one, other):
    assert parse_schedule(one) == parse_schedule(other)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("9-18", "no days before"),
        ("mon", "no hours"),
        ("mon 9-18, tue", "no hours"),
        ("mon 25:00-26:00", "neither days nor hours"),
        ("mon 9-9", "no span"),
        ("mon 23-24:30", "no span"),
        ("someday 9-18", "neither days nor hours"),
        ("mon 9-18 lunch", "neither days nor hours"),
    ],
)
def test_what_cannot_be_read_is_explained(text, why):
    with pytest.raises(UsageError, match=why) as refused:
        parse_schedule(text)
    assert "mon-fri 09:00-18:00" in (refused.value.hint or "")


@pytest.mark.parametrize("day", ["2026-03-28", "2026-03-29", "2026-10-25"])
def test_nine_o_clock_is_nine_o_clock_before_and_after_the_clocks_change(day):
    schedule = parse_schedule("daily 09:00-18:00")
    assert not schedule.is_on(at(f"{day} 08:59", BERLIN), BERLIN, NO_HOLIDAYS)
    assert schedule.is_on(at(f"{day} 09:00", BERLIN), BERLIN, NO_HOLIDAYS)


def test_the_hour_that_comes_twice_belongs_to_the_shift_both_times():
    schedule = parse_schedule("sat 22:00-02:30")
    both = [at("2026-10-25 02:15", BERLIN, fold) for fold in (0, 1)]
    assert both[1] - both[0] == 3600
    assert [schedule.is_on(moment, BERLIN, NO_HOLIDAYS) for moment in both] == [True, True]


def test_the_same_hours_are_other_moments_in_another_time_zone():
    schedule = parse_schedule("daily 09:00-18:00")
    morning = at("2026-11-23 09:00", ZoneInfo("Asia/Vladivostok"))
    assert schedule.is_on(morning, ZoneInfo("Asia/Vladivostok"), NO_HOLIDAYS)
    assert not schedule.is_on(morning, MOSCOW, NO_HOLIDAYS)


def test_no_shift_begins_on_a_holiday_and_one_that_began_before_goes_on():
    holidays = Holidays(frozenset([date(2026, 11, 24)]))
    schedule = parse_schedule("daily 22:00-06:00")
    assert schedule.is_on(at("2026-11-24 05:00"), MOSCOW, holidays)
    assert not schedule.is_on(at("2026-11-24 23:00"), MOSCOW, holidays)
    assert not schedule.is_on(at("2026-11-25 05:00"), MOSCOW, holidays)


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-11-23 08:00", "2026-11-23 09:00"),
        ("2026-11-23 09:00", "2026-11-24 09:00"),
        ("2026-11-27 19:00", "2026-11-28 10:00"),
        ("2026-11-28 15:00", "2026-12-01 09:00"),  # Monday is a holiday
    ],
)
def test_the_next_shift_is_known(now, start):
    holidays = Holidays(frozenset([date(2026, 11, 30)]))
    assert parse_schedule(WEEK).next_start(at(now), MOSCOW, holidays) == at(start)


def test_around_the_clock_there_is_no_next_shift():
    assert parse_schedule("always").is_on(0.0, None, NO_HOLIDAYS)
    assert parse_schedule("always").next_start(0.0, None, NO_HOLIDAYS) is None


def test_a_time_zone_that_is_none_is_refused():
    with pytest.raises(UsageError, match="'Europe/Moskow' is not a time zone"):
        parse_time_zone("Europe/Moskow")


def test_a_list_of_holidays(tmp_path: Path):
    file = tmp_path / "holidays.txt"
    file.write_text(
        "# Holidays\n2026-01-01..2026-01-08 New Year\n09.05.2026\n06-12   every year\n!2027-06-12  but not then\n\n",
        encoding="utf-8",
    )
    holidays = read_holidays(file)
    days = ["2026-01-01", "2026-01-08", "2026-01-09", "2026-05-09", "2030-06-12", "2027-06-12"]
    assert [date.fromisoformat(day) in holidays for day in days] == [True, True, False, True, True, False]


@pytest.mark.parametrize("line", ["2026-13-01", "tomorrow", "2026-01-08..2026-01-01", "02-30"])
def test_a_bad_line_among_the_holidays_is_named(tmp_path: Path, line):
    file = tmp_path / "holidays.txt"
    file.write_text(f"2026-01-01\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2"):
        read_holidays(file)


def test_a_missing_list_of_holidays_is_a_configuration_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_holidays(tmp_path / "gone.txt")
