"""Who can be given work, and the named reasons of those who cannot."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from carex.people import Pool, Rules, User
from carex.people.eligibility import Given, Presence, name_of, sort_out, why_nobody, why_not

MOSCOW = ZoneInfo("Europe/Moscow")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=MOSCOW).timestamp()  # a Monday
RULES = Rules(schedule="mon-fri 09:00-18:00", time_zone="Europe/Moscow")
ANNA = User(1, "Anna")
EVERYBODY = Pool()


def reason(
    user: User = ANNA, pool: Pool = EVERYBODY, rules: Rules = RULES, now: float = NOW, **known: object
) -> str | None:
    given = known.pop("given", Given())
    presence = Presence(**{"counts_open": True, **known})  # type: ignore[arg-type]
    return why_not(user, pool, rules, presence, given, now)  # type: ignore[arg-type]


def test_somebody_against_whom_nothing_speaks_is_eligible():
    assert reason() is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"excluded": True}, "excluded"),
        ({"excluded": True, "excluded_until": NOW + 60}, "excluded until 2026-11-23 "),
        ({"active": False}, "inactive in the portal"),
        ({"paused_until": NOW + 60}, "paused until 2026-11-23 "),
        ({"schedule": "sat 10-14"}, "off_shift until Sat 10:00"),
        ({"time_zone": "Asia/Vladivostok"}, "off_shift until Tue 09:00"),
        ({"daily_cap": 5}, "daily_cap 5 of 5"),
        ({"hourly_cap": 2}, "hourly_cap 2 of 2"),
        ({"open_cap": 9}, "open_cap 9 of 9"),
    ],
)
def test_each_reason_has_its_name(changes, why):
    found = reason(replace(ANNA, **changes), load={1: 9}, given=Given(today=5, hour=2))
    assert (found or "").startswith(why)


@pytest.mark.parametrize(
    "changes", [{"daily_cap": 6}, {"hourly_cap": 3}, {"open_cap": 10}, {"daily_cap": None, "schedule": "always"}]
)
def test_a_limit_that_is_not_reached_bars_nobody(changes):
    assert reason(replace(ANNA, **changes), load={1: 9}, given=Given(today=5, hour=2)) is None


def test_a_cap_of_nothing_gives_nothing():
    assert reason(replace(ANNA, daily_cap=0)) == "daily_cap 0 of 0"


def test_who_is_not_of_the_pool_is_skipped_for_that():
    assert reason(pool=Pool("big", members=(2,))) == "wrong_pool"


@pytest.mark.parametrize("why", ["absent until 2026-12-01", "not_clocked_in (closed)", "paused in the portal"])
def test_what_the_portal_says_counts(why):
    assert reason(away={1: why}) == why
    assert reason(away={2: why}) is None


@pytest.mark.parametrize(("when_unknown", "name"), [("open", ""), ("closed", "unknown")])
def test_whether_an_unanswered_question_bars_people_is_a_setting(when_unknown, name):
    found = reason(rules=replace(RULES, when_unknown=when_unknown), failed={"clock": "the portal is down"})
    assert name_of(found or "") == name
    assert ("clock could not be asked: the portal is down" in (found or "")) is bool(name)


@pytest.mark.parametrize(("when_unknown", "name"), [("open", ""), ("closed", "unknown")])
def test_a_limit_of_open_items_that_nobody_counts_is_unknown(when_unknown, name):
    rules = replace(RULES, when_unknown=when_unknown)
    found = reason(replace(ANNA, open_cap=5), rules=rules, load={1: 9}, counts_open=False)
    assert name_of(found or "") == name


def test_a_schedule_of_ones_own_goes_before_the_general_one():
    sunday = datetime(2026, 11, 22, 12, 0, tzinfo=MOSCOW).timestamp()
    assert reason(replace(ANNA, schedule="always"), now=sunday) is None
    assert reason(now=sunday) == "off_shift until Mon 09:00"


def test_all_are_sorted_into_those_who_can_and_the_reasons_of_the_others():
    users = [ANNA, User(2, "Boris", excluded=True), User(3, "Clara", daily_cap=1)]
    eligible, skipped = sort_out(users, Pool(), RULES, Presence(), {3: Given(today=1)}, NOW)
    assert ([user.id for user in eligible], skipped) == ([1], {2: "excluded", 3: "daily_cap 1 of 1"})


@pytest.mark.parametrize(
    ("skipped", "pool", "said"),
    [
        ({}, Pool(), "nobody available: the directory is empty; add people"),
        ({1: "excluded until 2026-12-01", 2: "excluded"}, Pool(), "nobody available: 2 excluded"),
        ({1: "wrong_pool"}, Pool("big"), "in the pool big: none of its members"),
        (
            {1: "off_shift until Tue 09:00", 2: "wrong_pool"},
            Pool("big"),
            "1 off_shift; the next shift begins Tue 09:00",
        ),
    ],
)
def test_when_there_is_nobody_it_is_said_why_in_a_line(skipped, pool, said):
    assert said in why_nobody([ANNA, User(2, "Boris")], skipped, pool, RULES, NOW + 7 * 3600)
