"""Who is at work: the time clock of a person, and the absences of many people in one call."""

from datetime import date, datetime, timedelta, timezone
from typing import Any

from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply, whole
from carex_bitrix24.simulator.employees import Employee
from carex_bitrix24.simulator.phpform import as_list


def status(call: Call) -> Reply:
    """timeman.status: OPENED, CLOSED, PAUSED, or EXPIRED for a day nobody closed. ACTIVE is not "at work"."""
    person = _person(call)
    workday = person.workday if person.tracked else "CLOSED"
    today = call.portal.iso()[:10]
    over = workday == "CLOSED"
    return Reply(
        {
            "STATUS": workday,
            "TIME_START": f"{today}T09:00:00+03:00",
            "TIME_FINISH": f"{today}T18:00:00+03:00" if over else None,
            "DURATION": "08:00:00" if over else "00:00:00",
            "TIME_LEAKS": "01:00:00" if over else "00:00:00",
            "ACTIVE": True,
            "IP_OPEN": "",
            "IP_CLOSE": "",
            "LAT_OPEN": 0,
            "LON_OPEN": 0,
            "TZ_OFFSET": 10800,
        }
    )


def settings(call: Call) -> Reply:
    """timeman.settings: whether the clock runs for a person; where it does not, everybody looks CLOSED."""
    person = _person(call)
    return Reply(
        {
            "UF_TIMEMAN": person.tracked,
            "UF_TM_FREE": False,
            "UF_TM_MAX_START": "09:15:00",
            "UF_TM_MIN_FINISH": "17:45:00",
            "UF_TM_MIN_DURATION": "08:00:00",
            "UF_TM_ALLOWED_DELTA": "00:15:00",
            "ADMIN": person.admin,
        }
    )


def schedule(call: Call) -> Reply:
    """timeman.schedule.get: one schedule for all, number 1; any other number is an empty list."""
    if whole(call.given("id")) != 1:
        return Reply([])
    shift = {"ID": 1, "WORK_TIME_START": 32400, "WORK_TIME_END": 64800, "WORK_DAYS": "12345", "BREAK_DURATION": 3600}
    return Reply(
        {
            "ID": 1,
            "NAME": "Для всех",
            "SCHEDULE_TYPE": "FIXED",
            "IS_FOR_ALL_USERS": True,
            "SHIFTS": [shift],
            "CALENDAR": {"ID": 1, "EXCLUSIONS": []},
        }
    )


def accessibility(call: Call) -> Reply:
    """calendar.accessibility.get: for each person asked about, the absences that touch the days."""
    asked: dict[str, Any] = {name: call.given(name) for name in ("users", "from", "to")}
    for name, value in asked.items():
        if value in (None, "", [], {}):
            raise Refusal("", f'The required parameter "{name}" is not set for the method "{call.method}"')
    first, last = _day(asked["from"], call), _day(asked["to"], call)
    answer: dict[str, list[dict[str, Any]]] = {}
    for number in as_list(asked["users"]):
        person = call.portal.employees.get(whole(number) or 0)
        away = person.absences if person else ()
        answer[str(number)] = [
            _entry(date.fromisoformat(start), date.fromisoformat(end))
            for start, end in away
            if date.fromisoformat(start) <= last and date.fromisoformat(end) >= first
        ]
    return Reply(answer)


def _person(call: Call) -> Employee:
    person = call.portal.employees.get(whole(call.given("USER_ID", call.portal.user_id)) or 0)
    if person is None:
        raise Refusal("", "User not found")
    return person


def _day(value: Any, call: Call) -> date:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise Refusal("", f'Invalid date "{value}" for the method "{call.method}"') from None


def _entry(start: date, end: date) -> dict[str, Any]:
    after = datetime(end.year, end.month, end.day, tzinfo=timezone.utc) + timedelta(days=1)
    before = datetime(start.year, start.month, start.day, tzinfo=timezone.utc)
    return {
        "DATE_FROM": start.strftime("%d.%m.%Y"),
        "DATE_TO": end.strftime("%d.%m.%Y"),
        "DATE_FROM_TS_UTC": int(before.timestamp()),
        "DATE_TO_TS_UTC": int(after.timestamp()) - 1,
        "DT_SKIP_TIME": "Y",
        "ACCESSIBILITY": "absent",
    }


METHODS = {
    "timeman.status": Method(status, frozenset({"timeman"})),
    "timeman.settings": Method(settings, frozenset({"timeman"})),
    "timeman.schedule.get": Method(schedule, frozenset({"timeman"})),
    "calendar.accessibility.get": Method(accessibility, frozenset({"calendar"})),
}
