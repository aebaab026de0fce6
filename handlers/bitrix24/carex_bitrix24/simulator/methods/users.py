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
    words = str(conditions.pop("NAME_SEARCH", "")).lower()
    rows = [_view(call, person) for person in call.portal.employees.values()]
    rows = [row for row in rows if matches(row, conditions) and words in _names(row)]
    key = str(call.given("sort") or "ID")
    order = {key: call.given("order") or "ASC"}
    reply = page(ordered(rows, order, "ID"), call.given("start"))
    return Reply([chosen(row, call.given("select"), "ID") for row in reply.result], reply.total, reply.next)


def search(call: Call) -> Reply:
    """user.search: by parts of names with FIND, or by fields, which hold what is looked for."""
    given = {name.upper(): value for name, value in as_map(call.given("filter")).items()}
    words = str(given.pop("FIND", "")).lower().split()
    units = {str(unit.id): unit.name for unit in call.portal.departments}
    rows = []
    for person in call.portal.employees.values():
        row = _view(call, person)
        unit = {"UF_DEPARTMENT_NAME": ", ".join(units.get(str(number), "") for number in row["UF_DEPARTMENT"])}
        fits = all(str(value).lower() in str({**row, **unit}.get(name, "")).lower() for name, value in given.items())
        if fits and all(word in _names(row) for word in words):
            rows.append(row)
    return page(ordered(rows, {}, "ID"), call.given("start"))


def admin(call: Call) -> Reply:
    """user.admin: whether the owner of the webhook may change the portal's settings."""
    return Reply(_owner(call).admin)


def current(call: Call) -> Reply:
    """user.current: the owner of the webhook."""
    return Reply(_view(call, _owner(call)))


def profile(call: Call) -> Reply:
    """profile: the owner in short; needs no scope."""
    owner = _owner(call)
    return Reply(
        {
            "ID": str(owner.id),
            "ADMIN": owner.admin,
            "NAME": owner.name,
            "LAST_NAME": owner.last_name,
            "PERSONAL_GENDER": owner.gender,
            "TIME_ZONE": owner.time_zone,
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


def _names(row: dict[str, Any]) -> str:
    return f"{row['NAME']} {row['LAST_NAME']} {row['WORK_POSITION']}".lower()


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
        "TIME_ZONE": person.time_zone,
        "TIMESTAMP_X": {},
        "LAST_ACTIVITY_DATE": {},
        "PERSONAL_GENDER": person.gender,
        "WORK_POSITION": person.position,
        "UF_DEPARTMENT": [person.department, *person.departments],
        "UF_SKILLS": person.skills,
        "UF_TIMEMAN": person.tracked,
        "USER_TYPE": person.kind,
    }
    if call.portal.scopes & {"user", "user_basic"}:
        row["EMAIL"] = person.email
    return row


METHODS = {
    "user.get": Method(get, _USER_SCOPES),
    "user.search": Method(search, _USER_SCOPES),
    "user.admin": Method(admin),
    "user.current": Method(current, _USER_SCOPES),
    "profile": Method(profile),
    "department.get": Method(departments, frozenset({"department"})),
}
