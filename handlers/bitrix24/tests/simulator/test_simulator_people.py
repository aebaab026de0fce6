"""People, departments, attendance, and what the portal says about itself."""

import pytest

pytestmark = pytest.mark.anyio


async def test_a_user_has_a_string_id_a_real_boolean_and_empty_dates(rest):
    user = (await rest("user.get", FILTER={"ID": 1})).json()["result"][0]
    assert (user["ID"], user["ACTIVE"], user["IS_ONLINE"], user["LAST_ACTIVITY_DATE"]) == ("1", True, "Y", {})
    assert (user["NAME"], user["LAST_NAME"], user["UF_DEPARTMENT"]) == ("Анна", "Орлова", [2])


@pytest.mark.parametrize("word", ["FILTER", "filter"])
@pytest.mark.parametrize("yes", [True, "true", "Y", 1, "1"])
async def test_dismissed_people_can_be_filtered_out(rest, word, yes):
    rest.portal.set_employee(3, active=False)
    users = (await rest("user.get", **{word: {"ACTIVE": yes}})).json()["result"]
    assert [user["ID"] for user in users] == ["1", "2", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"ID": [2, "5"]}, ["2", "5"]),
        ({"@ID": [2, 5]}, ["2", "5"]),
        ({">ID": 6}, ["7", "8"]),
        ({"UF_DEPARTMENT": 3}, ["3", "6"]),
        ({"IS_ONLINE": "N"}, ["4"]),
        ({"USER_TYPE": "employee", ">ID": "7"}, ["8"]),
        ({"ACTIVE": False}, []),
    ],
)
async def test_people_can_be_filtered(rest, conditions, expected):
    rest.portal.set_employee(4, online=False)
    users = (await rest("user.get", FILTER=conditions)).json()["result"]
    assert [user["ID"] for user in users] == expected


async def test_people_are_sorted_and_unknown_names_skipped(rest):
    users = (await rest("user.get", sort="ID", order="DESC", select=["ID", "NAME", "NONSENSE"])).json()["result"]
    assert users[0] == {"ID": "8", "NAME": "Захар"}


@pytest.mark.parametrize(("scope", "shown"), [("user_brief", False), ("user", True)])
async def test_an_address_is_shown_only_to_the_wider_scope(rest, scope, shown):
    rest.portal.scopes = {scope}
    assert ("EMAIL" in (await rest("user.current")).json()["result"]) is shown


async def test_the_webhook_knows_its_owner(rest):
    rest.portal.scopes = set()
    answer = (await rest("profile")).json()["result"]
    assert (answer["ID"], answer["ADMIN"], answer["NAME"]) == ("1", True, "Анна")


async def test_departments_are_flat_and_name_their_parents(rest):
    answer = (await rest("department.get")).json()
    assert [(unit["ID"], unit.get("PARENT")) for unit in answer["result"]] == [("1", None), ("2", "1"), ("3", "1")]
    assert answer["total"] == 3


async def test_departments_can_be_filtered(rest):
    answer = (await rest("department.get", PARENT=1, sort="ID", order="DESC")).json()
    assert [unit["ID"] for unit in answer["result"]] == ["3", "2"]


async def test_the_portal_tells_its_scopes_methods_and_time(rest):
    rest.portal.scopes = {"crm"}
    assert (await rest("scope")).json()["result"] == ["crm"]
    assert "T" in (await rest("server.time")).json()["result"]
    names = (await rest("methods")).json()["result"]
    assert "crm.item.get" in names
    assert "user.get" not in names


@pytest.mark.parametrize("status", ["OPENED", "CLOSED", "PAUSED", "EXPIRED"])
async def test_the_time_clock_shows_the_workday(rest, status):
    rest.portal.set_employee(2, workday=status)
    answer = (await rest("timeman.status", USER_ID=2)).json()["result"]
    assert (answer["STATUS"], answer["ACTIVE"]) == (status, True)


async def test_the_time_clock_of_nobody_is_an_error_without_a_code(rest):
    answer = await rest("timeman.status", USER_ID=999)
    assert (answer.status_code, answer.json()) == (400, {"error": "", "error_description": "User not found"})


async def test_absences_of_many_people_come_in_one_call(rest):
    rest.portal.set_employee(2, absences=(("2026-09-01", "2026-09-14"), ("2026-12-01", "2026-12-02")))
    params = {"users": [2, 3], "from": "2026-09-10", "to": "2026-09-10"}
    answer = (await rest("calendar.accessibility.get", **params)).json()["result"]
    assert [entry["ACCESSIBILITY"] for entry in answer["2"]] == ["absent"]
    assert answer["2"][0]["DATE_FROM_TS_UTC"] == 1788220800
    assert answer["3"] == []


async def test_absences_need_people_and_days(rest):
    answer = await rest("calendar.accessibility.get", users=[1])
    assert (answer.status_code, answer.json()["error"]) == (400, "")


async def test_a_person_has_a_time_zone_departments_and_a_kind(rest):
    rest.portal.set_employee(3, time_zone="Asia/Omsk", departments=(7,), kind="extranet", tracked=False)
    row = (await rest("user.get", FILTER={"UF_DEPARTMENT": 7})).json()["result"][0]
    assert (row["ID"], row["TIME_ZONE"], row["UF_DEPARTMENT"]) == ("3", "Asia/Omsk", [3, 7])
    assert (row["USER_TYPE"], row["UF_TIMEMAN"]) == ("extranet", False)
    assert (await rest("user.get", FILTER={"USER_TYPE": "employee"})).json()["total"] == 7


async def test_who_has_no_time_clock_looks_closed(rest):
    rest.portal.set_employee(3, workday="OPENED", tracked=False)
    assert (await rest("timeman.status", USER_ID=3)).json()["result"]["STATUS"] == "CLOSED"
    assert (await rest("timeman.settings", USER_ID=3)).json()["result"]["UF_TIMEMAN"] is False


@pytest.mark.parametrize(("schedule", "kind"), [(1, "FIXED"), (77, None)])
async def test_a_schedule_that_is_not_there_is_an_empty_list(rest, schedule, kind):
    result = (await rest("timeman.schedule.get", id=schedule)).json()["result"]
    assert result == [] if kind is None else result["SCHEDULE_TYPE"] == kind


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"FIND": "анна"}, ["1", "7"]),
        ({"NAME": "борис"}, ["2"]),
        ({"UF_DEPARTMENT_NAME": "поддержки"}, ["3", "6"]),
        ({"FIND": "nobody"}, []),
    ],
)
async def test_people_are_searched_by_parts_of_names(rest, params, ids):
    rows = (await rest("user.search", FILTER=params)).json()["result"]
    assert [row["ID"] for row in rows] == ids


@pytest.mark.parametrize("admin", [True, False])
async def test_the_profile_says_whether_its_owner_is_an_administrator(rest, admin):
    rest.portal.set_employee(1, admin=admin)
    assert (await rest("profile")).json()["result"]["ADMIN"] is admin
    assert (await rest("user.admin")).json()["result"] is admin


async def test_a_webhook_is_no_application(rest):
    answer = await rest("app.info")
    assert (answer.status_code, answer.json()["error"]) == (400, "ACCESS_DENIED")


@pytest.mark.parametrize(
    ("name", "exists", "available"),
    [("user.get", True, True), ("crm.deal.get", True, False), ("no.such", False, False)],
)
async def test_a_method_can_be_asked_for(rest, name, exists, available):
    rest.portal.scopes.discard("crm")
    result = (await rest("method.get", name=name)).json()["result"]
    assert result == {"isExisting": exists, "isAvailable": available}
