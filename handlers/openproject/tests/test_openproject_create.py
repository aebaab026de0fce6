"""Projects, work packages and comments are made once, whatever happens to the answers."""

from typing import Any

import pytest
from carex_openproject.simulator import Fault

from carex import BpmnError, Done, Fail, Retry, Wait

PROJECT: dict[str, Any] = {"name": "Office move", "description": "All of it"}
WORK_PACKAGE: dict[str, Any] = {"project": "demo", "subject": "Pack"}
COMMENT: dict[str, Any] = {"work_package_id": 2, "text": "Packed."}
MADE = [
    ("op_create_project", PROJECT, "/projects$"),
    ("op_create_work_package", WORK_PACKAGE, "/work_packages$"),
    ("op_comment", COMMENT, "/activities$"),
]


@pytest.fixture(autouse=True)
def something_to_comment_on(instance):
    instance.add_work_package(1, "Old")


def count(instance):
    return len(instance.projects), len(instance.work_packages), len(instance.activities)


def until_done(attempt, type, payload):
    """Attempts until one succeeds; a `Wait` does not count as one."""
    number = 1
    for _ in range(10):
        outcome = attempt(type, payload, attempt=number)
        if isinstance(outcome, Done):
            return outcome.result
        assert isinstance(outcome, (Retry, Wait))
        number += isinstance(outcome, Retry)
    raise AssertionError("it does not end")


def test_a_project_is_made(attempt, instance):
    result = attempt("op_create_project", {**PROJECT, "identifier": "move", "parent": "demo"}).result

    made = instance.projects[result["project_id"]]
    assert (made.identifier, made.name, made.parent) == ("move", "Office move", 1)
    assert made.description.startswith("All of it\n\n<!-- carex-")
    assert result["project_url"] == "http://openproject.example/projects/move"
    assert result["created"]


def test_a_work_package_is_made(attempt, instance):
    fields = {"startDate": "2026-02-01", "assignee": 3, "status": "In progress", "priority": "high"}
    result = attempt("op_create_work_package", {**WORK_PACKAGE, "type": "Bug", "fields": fields}).result

    made = instance.work_packages[result["work_package_id"]]
    assert (made.values["subject"], made.values["startDate"]) == ("Pack", "2026-02-01")
    assert made.links | {"project": 1, "type": 2, "status": 7, "priority": 9, "assignee": 3} == made.links


@pytest.mark.parametrize("status", [200, 201])
def test_both_answers_to_a_creation_are_understood(attempt, instance, status):
    instance.created_status = status

    assert isinstance(attempt("op_create_work_package", WORK_PACKAGE), Done)


def test_a_comment_is_made(attempt, instance):
    result = attempt("op_comment", COMMENT).result

    (made,) = instance.activities
    assert (made.id, made.work_package) == (result["activity_id"], 2)
    assert made.comment.startswith("Packed.\n\n<!-- carex-")


@pytest.mark.parametrize(("type", "payload", "path"), MADE)
@pytest.mark.parametrize("trouble", [502, 503, 504, 500])
@pytest.mark.parametrize("applied", [True, False])
def test_it_is_made_once_although_answers_are_lost(attempt, instance, type, payload, path, trouble, applied):
    before = sum(count(instance))
    instance.faults.append(Fault(trouble, "POST", path, count=2, applied=applied))

    result = until_done(attempt, type, payload)

    assert sum(count(instance)) == before + 1
    assert result["created"] is not applied


@pytest.mark.parametrize(("type", "payload", "path"), MADE)
def test_the_same_task_again_finds_what_it_made(attempt, instance, type, payload, path):
    first = attempt(type, payload).result
    there = count(instance)

    again = attempt(type, payload).result

    assert again == {**first, "created": False}
    assert count(instance) == there


@pytest.mark.parametrize(("type", "payload", "path"), MADE)
def test_another_task_makes_another(attempt, instance, type, payload, path):
    before = sum(count(instance))

    assert [attempt(type, payload, id=id).result["created"] for id in ("a", "b")] == [True, True]
    assert sum(count(instance)) == before + 2


def test_a_work_package_is_found_after_it_was_closed_and_moved(attempt, instance):
    made = attempt("op_create_work_package", WORK_PACKAGE).result["work_package_id"]
    elsewhere = instance.add_project("Elsewhere")
    instance.edit(made, status=12, project=elsewhere.id)

    assert attempt("op_create_work_package", WORK_PACKAGE).result["work_package_id"] == made


def test_a_work_package_is_found_on_a_later_page(attempt, instance):
    instance.largest_page = 2
    made = attempt("op_create_project", PROJECT).result["project_id"]
    for number in range(5):
        twin = instance.add_project("Office move", f"twin-{number}")
        instance.projects = {twin.id: twin, **instance.projects}

    assert attempt("op_create_project", PROJECT).result == {
        "project_id": made,
        "project_identifier": "office-move",
        "project_url": "http://openproject.example/projects/office-move",
        "created": False,
    }


def test_an_attempt_after_a_crash_looks_twice_before_it_makes_another(attempt, instance):
    attempt("op_create_work_package", WORK_PACKAGE, attempt=2)

    assert instance.requests("GET", "/work_packages$") == 2


def test_the_mark_may_have_a_field_of_its_own(attempt, instance):
    instance.add_custom_field(5, "Task in the process")

    made = [attempt("op_create_work_package", WORK_PACKAGE, marker_field="customField5").result for _ in range(2)]

    package = instance.work_packages[made[0]["work_package_id"]]
    assert [each["created"] for each in made] == [True, False]
    assert package.values["customField5"] == "task-1"
    assert package.values["description"] == ""


def test_a_field_for_the_mark_that_does_not_exist_stops_the_task_before_it_makes_anything(attempt, instance):
    outcome = attempt("op_create_work_package", WORK_PACKAGE, marker_field="customField99")

    assert isinstance(outcome, Fail)
    assert "InvalidQuery" in outcome.reason
    assert len(instance.work_packages) == 1


def test_a_field_for_the_mark_that_this_type_has_not_is_named_in_the_log(attempt, instance, lines):
    instance.add_custom_field(5, "Task in the process", types=(2,))

    assert isinstance(attempt("op_create_work_package", WORK_PACKAGE, marker_field="customField5"), Done)
    assert any("customField5 is not a field of work packages like" in line for line in lines)


def test_names_of_options_in_custom_fields_become_links(attempt, instance):
    instance.add_custom_field(3, "Colour", options=("Red", "Green"))
    instance.add_custom_field(4, "Room")

    made = attempt(
        "op_create_work_package", {**WORK_PACKAGE, "fields": {"customField3": "green", "customField4": "12"}}
    )

    package = instance.work_packages[made.result["work_package_id"]]
    assert (package.links["customField3"], package.values["customField4"]) == (2, "12")


def test_a_field_that_only_this_type_has_is_found_with_the_types_name(attempt, instance):
    instance.add_custom_field(3, "Browser", options=("Firefox", "Chrome"), types=(2,))

    made = attempt("op_create_work_package", {**WORK_PACKAGE, "type": "bug", "fields": {"customField3": "Chrome"}})

    assert instance.work_packages[made.result["work_package_id"]].links["customField3"] == 2


def test_a_field_that_there_is_not_is_named_and_nothing_is_made(attempt, instance):
    outcome = attempt("op_create_work_package", {**WORK_PACKAGE, "fields": {"asignee": 3}})

    assert isinstance(outcome, Fail)
    assert "no field 'asignee'" in outcome.reason
    assert "assignee" in outcome.reason
    assert len(instance.work_packages) == 1


def test_a_name_that_is_not_allowed_is_an_error_that_says_which_are(attempt, instance):
    outcome = attempt("op_create_work_package", {**WORK_PACKAGE, "type": "Epic"})

    assert isinstance(outcome, BpmnError)
    assert (outcome.code, list(outcome.variables["problems"])) == ("INVALID", ["type"])
    assert "allowed: Task, Bug" in outcome.reason


def test_ids_need_no_form(attempt, instance):
    attempt("op_create_work_package", {**WORK_PACKAGE, "type": 2, "fields": {"assignee": 3}})

    assert instance.requests("POST", "/form$") == 0


@pytest.mark.parametrize("type", ["op_create_project", "op_create_work_package"])
def test_a_missing_right_is_for_a_person_to_mend(attempt, instance, type):
    instance.permissions.clear()

    outcome = attempt(type, {**PROJECT, **WORK_PACKAGE})

    assert isinstance(outcome, Fail)
    assert "MissingPermission" in outcome.reason
    assert "Give the token's owner a role" in outcome.reason


def test_an_identifier_that_is_taken_is_an_error_for_the_process(attempt):
    outcome = attempt("op_create_project", {**PROJECT, "identifier": "demo"})

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "INVALID"
    assert outcome.variables == {"problems": {"identifier": "Identifier has already been taken."}}


def test_several_problems_are_told_by_attribute(attempt):
    outcome = attempt("op_create_work_package", {**WORK_PACKAGE, "subject": " ", "fields": {"assignee": 9}})

    assert isinstance(outcome, BpmnError)
    assert set(outcome.variables["problems"]) == {"subject", "assignee"}
    assert "subject: Subject can't be blank." in outcome.reason


@pytest.mark.parametrize("hidden", [True, False])
def test_a_project_that_is_missing_or_hidden_is_an_error_for_the_process(attempt, instance, hidden):
    instance.add_project("Secret", "secret", hidden=True)

    outcome = attempt("op_create_work_package", {**WORK_PACKAGE, "project": "secret" if hidden else "nowhere"})

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "NOT_FOUND"


@pytest.mark.parametrize(("notify", "told"), [(True, [True, True]), (False, [False, False])])
def test_watchers_are_told_unless_that_is_switched_off(attempt, instance, notify, told):
    attempt("op_create_work_package", WORK_PACKAGE, notify=notify)
    attempt("op_comment", COMMENT, notify=notify)

    assert instance.notified == told


@pytest.mark.parametrize("project", ["../users", "a/b", "", " ", "demo?x"])
def test_a_project_is_named_by_an_id_or_identifier_only(attempt, instance, project):
    outcome = attempt("op_create_work_package", {**WORK_PACKAGE, "project": project})

    assert isinstance(outcome, Fail)
    assert outcome.reason.startswith("project: ")
    assert instance.log == []
