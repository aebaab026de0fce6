"""The simulated OpenProject against what the API's documentation and its own tests say."""

import json

import pytest
from carex_openproject.simulator import Fault

ERRORS = "urn:openproject-org:api:v3:errors:"


@pytest.fixture(autouse=True)
def package(instance):
    return instance.add_work_package(1, "Old")


def name_of(answer):
    body = answer.json()
    assert body["_type"] == "Error"
    return answer.status_code, body["errorIdentifier"].removeprefix(ERRORS)


def filters(name, operator, *values):
    return {"filters": json.dumps([{name: {"operator": operator, "values": values}}])}


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer TOKEN"}, {"Authorization": "bearer TOKEN"}])
def test_a_token_is_taken_as_bearer(rest, instance, headers):
    headers = {name: value.replace("TOKEN", instance.token) for name, value in headers.items()}

    assert rest("GET", "/users/me", auth=None, headers=headers).json()["id"] == 1


@pytest.mark.parametrize("auth", [None, ("apikey", "wrong"), ("anna", "opapi-0123456789abcdef")])
def test_nobody_else_gets_in(rest, auth):
    answer = rest("GET", "/users/me", auth=auth)

    assert name_of(answer) == (401, "Unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("headers", "content", "error"),
    [
        ({}, b"{}", (406, "InvalidRequestBody")),
        ({"Content-Type": "text/plain"}, b"{}", (415, "TypeNotSupported")),
        ({"Content-Type": "application/json"}, b"{ ,", (400, "InvalidRequestBody")),
        ({"Content-Type": "application/json"}, b"[]", (400, "InvalidRequestBody")),
    ],
)
def test_a_body_has_a_type_and_is_an_object(rest, headers, content, error):
    assert name_of(rest("POST", "/projects", headers=headers, content=content)) == error


def test_answers_are_hal(rest):
    answer = rest("GET", "/work_packages/2")

    assert answer.headers["content-type"].startswith("application/hal+json")
    body = answer.json()
    assert (body["_type"], body["lockVersion"], body["description"]["format"]) == ("WorkPackage", 0, "markdown")
    assert body["_links"]["project"] == {"href": "/api/v3/projects/1", "title": "Demo"}
    assert body["_links"]["assignee"] == {"href": None}


@pytest.mark.parametrize(
    ("links", "status"),
    [({"type": {"href": "/api/v3/types/1"}, "project": {"href": "/api/v3/projects/1"}}, 201), ({}, 422)],
)
def test_a_work_package_needs_its_project_where_the_path_has_none(rest, links, status):
    assert rest("POST", "/work_packages", json={"subject": "New", "_links": links}).status_code == status


@pytest.mark.parametrize("place", ["projects/demo", "projects/1", "workspaces/1"])
def test_a_work_package_is_made_where_the_path_says(rest, instance, place):
    made = rest("POST", f"/{place}/work_packages", json={"subject": "New", "bogus": "passed over"})

    assert made.status_code == 201
    assert instance.work_packages[made.json()["id"]].values == {"subject": "New", "description": ""}


def test_one_problem_is_told_alone_and_several_together(rest):
    alone = rest("POST", "/projects/demo/work_packages", json={})
    several = rest("POST", "/work_packages", json={})

    assert name_of(alone) == (422, "PropertyConstraintViolation")
    assert alone.json()["_embedded"] == {"details": {"attribute": "subject"}}
    assert name_of(several) == (422, "MultipleErrors")
    assert [each["_type"] for each in several.json()["_embedded"]["errors"]] == ["Error", "Error"]


@pytest.mark.parametrize("lock", [{}, {"lockVersion": 7}])
@pytest.mark.parametrize(("method", "path"), [("PATCH", "/work_packages/2"), ("POST", "/work_packages/2/form")])
def test_a_missing_lock_version_is_as_wrong_as_an_old_one(rest, lock, method, path):
    assert name_of(rest(method, path, json={"subject": "New", **lock})) == (409, "UpdateConflict")


def test_a_change_raises_the_lock_version_and_one_that_changes_nothing_does_not(rest):
    changed = rest("PATCH", "/work_packages/2", json={"subject": "New", "lockVersion": 0}).json()
    same = rest("PATCH", "/work_packages/2", json={"subject": "New", "lockVersion": 1}).json()

    assert (changed["lockVersion"], same["lockVersion"]) == (1, 1)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"startDate": "2026-02-31"}, "PropertyFormatError"),
        ({"createdAt": "2026-01-01T00:00:00Z"}, "PropertyIsReadOnly"),
        ({"_links": {"assignee": {"href": "/api/v3/statuses/1"}}}, "ResourceTypeMismatch"),
        ({"_links": {"assignee": {"href": "/api/v3/users/9"}}}, "PropertyConstraintViolation"),
        ({"_links": {"type": {"href": "/api/v3/types/3"}}}, "PropertyConstraintViolation"),
        ({"_links": {"status": {"href": "/api/v3/statuses/12"}}}, "PropertyConstraintViolation"),
    ],
)
def test_unfit_values_are_refused(rest, body, error):
    assert name_of(rest("PATCH", "/work_packages/2", json={**body, "lockVersion": 0})) == (422, error)


def test_a_required_custom_field_is_demanded(rest, instance):
    instance.add_custom_field(3, "Department", required=True)

    answer = rest("POST", "/projects/demo/work_packages", json={"subject": "New"})

    assert answer.json()["message"] == "Department can't be blank."


def test_a_custom_field_exists_in_some_types_only(rest, instance):
    instance.add_custom_field(3, "Browser", types=(2,))

    assert "customField3" not in rest("GET", "/work_packages/2").json()
    instance.edit(2, type=2)
    assert rest("GET", "/work_packages/2").json()["customField3"] is None


@pytest.mark.parametrize(("subject", "valid"), [("New", True), ("", False)])
def test_a_form_answers_always_and_has_a_commit_link_if_nothing_is_wrong(rest, instance, subject, valid):
    answer = rest("POST", "/projects/demo/work_packages/form", json={"subject": subject})

    body = answer.json()
    assert (answer.status_code, body["_type"]) == (200, "Form")
    assert ("commit" in body["_links"], body["_embedded"]["validationErrors"] == {}) == (valid, valid)
    assert [each["title"] for each in body["_embedded"]["schema"]["type"]["_links"]["allowedValues"]] == ["Task", "Bug"]
    assert len(instance.work_packages) == 1


def test_a_form_without_a_body_describes_the_work_package(rest):
    answer = rest("POST", "/work_packages/2/form", headers={"Content-Type": "application/json"})

    allowed = answer.json()["_embedded"]["schema"]["status"]["_links"]["allowedValues"]
    assert [each["title"] for each in allowed] == ["New", "In progress"]


def test_a_project_form_checks_the_identifier(rest):
    body = rest("POST", "/projects/form", json={"name": "Demo", "identifier": "demo"}).json()

    assert list(body["_embedded"]["validationErrors"]) == ["identifier"]


def test_a_project_is_made_and_read_by_id_and_by_identifier(rest):
    made = rest("POST", "/projects", json={"name": "New one", "description": {"raw": "Text"}})

    assert made.status_code == 201
    assert rest("GET", "/projects/new-one").json() == rest("GET", f"/projects/{made.json()['id']}").json()


@pytest.mark.parametrize(
    ("path", "body"),
    [("/projects", {"name": "x"}), ("/projects/demo/work_packages", {"subject": "x"}), ("/projects/form", {})],
)
def test_a_missing_right_is_told(rest, instance, path, body):
    instance.permissions.clear()

    assert name_of(rest("POST", path, json=body)) == (403, "MissingPermission")


@pytest.mark.parametrize("path", ["/projects/demo", "/work_packages/2", "/work_packages/2/activities"])
def test_what_is_hidden_is_as_good_as_missing(rest, instance, path):
    instance.projects[1].hidden = True

    assert name_of(rest("GET", path)) == (404, "NotFound")
    assert rest("GET", "/work_packages", params={"filters": "[]"}).json()["total"] == 0


def test_the_link_to_change_something_is_there_for_those_who_may(rest, instance):
    assert "update" in rest("GET", "/work_packages/2").json()["_links"]
    instance.permissions.discard("edit_work_packages")
    assert "update" not in rest("GET", "/work_packages/2").json()["_links"]


@pytest.mark.parametrize(("query", "total"), [({}, 1), ({"filters": "[]"}, 2), (filters("status", "c"), 1)])
def test_without_filters_only_open_work_packages_are_listed(rest, instance, query, total):
    instance.add_work_package(1, "Done", status=12)

    assert rest("GET", "/work_packages", params=query).json()["total"] == total


@pytest.mark.parametrize(
    "query", [{"filters": "{"}, filters("bogus", "=", "x"), filters("description", "=", "x"), {"filters": "[1]"}]
)
def test_filters_that_it_does_not_understand_are_refused(rest, query):
    assert name_of(rest("GET", "/work_packages", params=query)) == (400, "InvalidQuery")


@pytest.mark.parametrize(("words", "total"), [("BLUE sky", 1), ("blue sea", 0)])
def test_a_text_contains_all_words(rest, instance, words, total):
    instance.edit(2, description="the sky is blue")

    assert rest("GET", "/work_packages", params=filters("description", "~", words)).json()["total"] == total


def test_the_offset_is_the_number_of_a_page(rest, instance):
    for number in range(4):
        instance.add_project(f"P{number}")
    instance.largest_page = 2

    pages = [rest("GET", "/projects", params={"pageSize": 100, "offset": number}).json() for number in (1, 2, 3, 4)]

    assert [each["count"] for each in pages] == [2, 2, 1, 0]
    assert {(each["total"], each["pageSize"]) for each in pages} == {(5, 2)}
    assert ["nextByOffset" in each["_links"] for each in pages] == [True, True, False, False]
    assert [each["name"] for each in pages[1]["_embedded"]["elements"]] == ["P1", "P2"]


def test_a_comment_becomes_an_activity_and_a_change(rest):
    made = rest("POST", "/work_packages/2/activities", json={"comment": {"raw": "Hello"}})

    assert made.status_code == 201
    found = rest("GET", "/work_packages/2/activities").json()
    assert [each["comment"]["raw"] for each in found["_embedded"]["elements"]] == ["Hello"]
    assert "pageSize" not in found
    assert rest("GET", "/work_packages/2").json()["lockVersion"] == 1


def test_who_can_be_given_work_is_told_for_a_project_and_for_a_work_package(rest):
    found = [rest("GET", f"/{path}/available_assignees").json() for path in ("projects/demo", "work_packages/2")]

    assert [[each["id"] for each in one["_embedded"]["elements"]] for one in found] == [[2, 3, 4]] * 2


@pytest.mark.parametrize("applied", [True, False])
def test_a_fault_may_come_after_the_work(rest, instance, applied):
    instance.faults.append(Fault(502, "POST", "/projects$", applied=applied))

    answer = rest("POST", "/projects", json={"name": "Twice"})

    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (502, "text/html")
    assert len(instance.projects) == (2 if applied else 1)
    assert rest("GET", "/projects").status_code == 200


def test_an_unknown_path_is_told_as_json(rest):
    assert name_of(rest("GET", "/nowhere")) == (404, "NotFound")
