"""Work packages are changed without undoing what others change at the same time."""

import asyncio

import pytest
from carex_openproject.simulator import Fault

from carex import BpmnError, Done, Fail, Retry, Wait
from carex.testing import employees

ID = 2


@pytest.fixture(autouse=True)
def package(instance):
    return instance.add_work_package(1, "Old", description="As it was", assignee=3)


def change(attempt, fields, **more):
    return attempt("op_update_work_package", {"work_package_id": ID, "fields": fields}, **more)


def test_fields_and_links_are_set(attempt, package):
    outcome = change(attempt, {"subject": "New", "description": "Now", "status": "in progress", "assignee": None})

    assert outcome == Done({"work_package_id": ID, "changed": True})
    assert (package.values["subject"], package.values["description"]) == ("New", "Now")
    assert (package.links["status"], package.links["assignee"]) == (7, None)


def test_what_is_like_that_already_is_not_changed(attempt, instance, package):
    outcome = change(attempt, {"subject": "Old", "assignee": 3, "description": "As it was"})

    assert outcome == Done({"work_package_id": ID, "changed": False})
    assert (instance.requests("PATCH"), package.history) == (0, [])


def test_a_change_whose_answer_is_lost_is_made_once(attempt, instance, package):
    instance.faults.append(Fault(504, "PATCH", applied=True))

    assert isinstance(change(attempt, {"subject": "New"}), Wait)
    assert change(attempt, {"subject": "New"}) == Done({"work_package_id": ID, "changed": False})
    assert package.history == [{"subject": "New"}]


def test_a_change_of_other_fields_at_the_same_time_is_kept(attempt, instance, package):
    instance.meanwhile.append(lambda: instance.edit(ID, priority=9))

    assert change(attempt, {"subject": "New"}).result["changed"]
    assert (package.values["subject"], package.links["priority"]) == ("New", 9)
    assert instance.requests("PATCH") == 2


def test_a_change_of_the_same_field_at_the_same_time_is_not_undone(attempt, instance, package):
    instance.meanwhile.append(lambda: instance.edit(ID, subject="Theirs", priority=9))

    outcome = change(attempt, {"subject": "New", "startDate": "2026-02-01"})

    assert isinstance(outcome, BpmnError)
    assert (outcome.code, list(outcome.variables["problems"])) == ("CONFLICT", ["subject"])
    assert package.values == {"subject": "Theirs", "description": "As it was"}


def test_somebody_who_does_the_same_at_the_same_time_is_no_conflict(attempt, instance):
    instance.meanwhile.append(lambda: instance.edit(ID, subject="New"))

    assert change(attempt, {"subject": "New"}) == Done({"work_package_id": ID, "changed": False})


def test_a_work_package_that_never_stands_still_is_tried_again_later(attempt, instance):
    instance.meanwhile += [lambda: instance.edit(ID, priority=9)] * 3

    outcome = change(attempt, {"subject": "New"})

    assert isinstance(outcome, Retry)
    assert instance.requests("PATCH") == 3


def test_a_lock_version_in_the_fields_does_not_replace_the_fresh_one(attempt, instance, package):
    package.lock = 5

    assert change(attempt, {"subject": "New", "lockVersion": 1}).result["changed"]
    assert instance.requests("POST", "/form$") == 0


def test_names_are_looked_up_in_the_form_of_this_work_package(attempt):
    outcome = change(attempt, {"status": "Closed"})

    assert isinstance(outcome, BpmnError)
    assert "allowed: New, In progress" in outcome.reason


def test_an_id_that_is_not_allowed_is_refused_by_openproject(attempt):
    outcome = change(attempt, {"status": 12})

    assert isinstance(outcome, BpmnError)
    assert list(outcome.variables["problems"]) == ["status"]


def test_a_work_package_moves_to_a_project_named_by_its_identifier(attempt, instance, package):
    elsewhere = instance.add_project("Elsewhere", "elsewhere")

    assert change(attempt, {"project": "elsewhere"}).result["changed"]
    assert package.links["project"] == elsewhere.id


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"startDate": "tomorrow"}, "PropertyFormatError"),
        ({"assignee": {"href": "/api/v3/types/1"}}, "ResourceTypeMismatch"),
        ({"subject": ""}, "PropertyConstraintViolation"),
        ({"_links": {"author": {"href": "/api/v3/users/2"}}}, "PropertyIsReadOnly"),
    ],
)
def test_what_openproject_does_not_take_is_an_error_for_the_process(attempt, fields, error):
    outcome = change(attempt, fields)

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "INVALID"
    assert error in outcome.reason
    assert list(outcome.variables["problems"]) == [next(iter(fields.get("_links", fields)))]


def test_a_field_that_there_is_not_is_named(attempt, package):
    outcome = change(attempt, {"subjekt": "New"})

    assert isinstance(outcome, Fail)
    assert "'subjekt'" in outcome.reason
    assert package.history == []


def test_a_missing_right_is_for_a_person_to_mend(attempt, instance):
    instance.permissions.discard("edit_work_packages")

    outcome = change(attempt, {"subject": "New"})

    assert isinstance(outcome, Fail)
    assert "MissingPermission" in outcome.reason


@pytest.mark.parametrize(
    ("type", "payload"),
    [
        ("op_update_work_package", {"fields": {"subject": "x"}}),
        ("op_comment", {"text": "x"}),
        ("op_assign", {"user_id": 3}),
    ],
)
def test_a_missing_work_package_is_an_error_for_the_process(attempt, type, payload):
    outcome = attempt(type, {"work_package_id": 99, **payload})

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "NOT_FOUND"


# ------------------------------------------------------------------ assign


def test_a_work_package_is_given_to_a_user(attempt, package):
    outcome = attempt("op_assign", {"work_package_id": ID, "user_id": 4})

    assert outcome == Done({"work_package_id": ID, "user_id": 4, "user_name": "Вера Ким", "changed": True})
    assert package.links["assignee"] == 4


def test_somebody_who_cannot_be_given_work_there_is_an_error_for_the_process(attempt, package):
    outcome = attempt("op_assign", {"work_package_id": ID, "user_id": 9})

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "NOT_ASSIGNABLE"
    assert package.links["assignee"] == 3


def test_carex_chooses_one_and_stays_with_them(attempt, tmp_path, package):
    async def chosen():
        async with employees(tmp_path, "Anna", "Vera") as people:
            return await asyncio.to_thread(
                lambda: [
                    attempt("op_assign", {"work_package_id": ID}, users={1: 2, 2: 4}, people=people).result
                    for _ in range(3)
                ]
            )

    results = asyncio.run(chosen())

    assert len({each["user_id"] for each in results}) == 1
    assert [each["changed"] for each in results] == [True, False, False]
    assert len(package.history) == 1


@pytest.mark.parametrize(("users", "hint"), [({}, "Name a user_id"), ({7: 7}, "does not say which user Anna (1) is")])
def test_an_employee_has_to_be_known_as_a_user(attempt, tmp_path, users, hint):
    async def chosen():
        async with employees(tmp_path, "Anna") as people:
            return await asyncio.to_thread(attempt, "op_assign", {"work_package_id": ID}, users=users, people=people)

    outcome = asyncio.run(chosen())

    assert isinstance(outcome, Fail)
    assert hint in outcome.reason
