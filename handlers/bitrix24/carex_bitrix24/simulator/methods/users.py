"""Who works here: `user.get`, `user.current`, `profile`, `department.get`.

Ids are strings, ACTIVE is a real boolean, IS_ONLINE is Y or N, and a date that is not there is an empty object.
"""

from typing import Any

from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply
from carex_bitrix24.simulator.employees import Employee
from carex_bitrix24.simulator.phpform import as_map
from carex_bitrix24.simulator.selection import chosen, matches, ordered, page

_USER_SCOPES = frozenset({"user", "user_basic", "user_brief"})


def get(call: Call) -> Reply:
    """user.get: one page of people."""
    conditions = {name.upper(): value for name, value in as_map(call.given("filter")).items()}
    if call.given("ID") is not None:
        conditions["ID"] = call.given("ID")
    rows = [_view(call, person) for person in call.portal.employees.values()]
    rows = [row for row in rows if matches(row, conditions)]
    key = str(call.given("sort") or "ID")
    order = {key: call.given("order") or "ASC"}
    reply = page(ordered(rows, order, "ID"), call.given("start"))
    return Reply([chosen(row, call.given("select"), "ID") for row in reply.result], reply.total, reply.next)


def current(call: Call) -> Reply:
    """user.current: the owner of the webhook."""
    return Reply(_view(call, _owner(call)))


def profile(call: Call) -> Reply:
    """profile: the owner in short; needs no scope."""
    owner = _owner(call)
    return Reply(
        {
            "ID": str(owner.id),
            "ADMIN": True,
            "NAME": owner.name,
            "LAST_NAME": owner.last_name,
            "PERSONAL_GENDER": owner.gender,
            "TIME_ZONE": "",
            "TIME_ZONE_OFFSET": 0,
        }
    )


def departments(call: Call) -> Reply:
    """department.get: a flat list; PARENT makes it a tree."""
    rows: list[dict[str, Any]] = []
    for place, unit in enumerate(call.portal.departments):
        row = {"ID": str(unit.id), "NAME": unit.name, "SORT": 500 + place, "UF_HEAD": str(unit.head)}
        if unit.parent:
            row["PARENT"] = str(unit.parent)
        rows.append(row)
    names = ("ID", "NAME", "PARENT", "UF_HEAD")
    wanted = {name: call.given(name) for name in names if call.given(name) is not None}
    found = [row for row in rows if matches({"PARENT": "", **row}, wanted)]
    order = {str(call.given("sort") or "ID"): call.given("order") or "ASC"}
    return page(ordered(found, order, "ID"), call.given("start"))


def _owner(call: Call) -> Employee:
    owner = call.portal.employees.get(call.portal.user_id)
    if owner is None:
        raise Refusal("INVALID_CREDENTIALS", "Invalid request credentials", 401)
    return owner


def _view(call: Call, person: Employee) -> dict[str, Any]:
    row = {
        "ID": str(person.id),
        "XML_ID": "",
        "ACTIVE": person.active,
        "NAME": person.name,
        "LAST_NAME": person.last_name,
        "SECOND_NAME": "",
        "IS_ONLINE": "Y" if person.online else "N",
        "TIME_ZONE": "",
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "PERSONAL_GENDER": person.gender,
        "WORK_POSITION": person.position,
        "UF_DEPARTMENT": [person.department],
        "UF_SKILLS": person.skills,
        "UF_TIMEMAN": True,
        "USER_TYPE": "employee",
    }
    if call.portal.scopes & {"user", "user_basic"}:
        row["EMAIL"] = person.email
    return row


METHODS = {
    "user.get": Method(get, _USER_SCOPES),
    "user.current": Method(current, _USER_SCOPES),
    "profile": Method(profile),
    "department.get": Method(departments, frozenset({"department"})),
}
