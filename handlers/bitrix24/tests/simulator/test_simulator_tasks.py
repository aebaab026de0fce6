"""tasks.task.* of the old version: upper-case names in, camel case and strings out."""

import pytest

pytestmark = pytest.mark.anyio


async def added(rest, **fields):
    answer = await rest("tasks.task.add", fields={"TITLE": "Позвонить", "RESPONSIBLE_ID": 3, **fields})
    return answer.json()["result"]["task"]


async def test_a_new_task_comes_back_in_strings(rest):
    task = await added(rest, UF_CRM_TASK=["D_7"], PRIORITY=2)
    assert (task["id"], task["responsibleId"], task["priority"], task["status"]) == ("1", "3", "2", "2")
    assert (task["createdBy"], task["ufCrmTask"], task["closedDate"]) == ("1", ["D_7"], None)


@pytest.mark.parametrize(
    ("fields", "code", "part"),
    [
        ({}, "100", "{fields}"),
        ({"RESPONSIBLE_ID": 3}, "ERROR_CORE", "title"),
        ({"TITLE": "A"}, "ERROR_CORE", "Responsible"),
        ({"TITLE": "A", "RESPONSIBLE_ID": 999}, "ERROR_CORE", "not found<br>"),
        ({"TITLE": "A", "RESPONSIBLE_ID": 3, "STATUS": 77}, "ERROR_CORE", "status<br>"),
    ],
)
async def test_a_task_that_makes_no_sense_is_refused(rest, fields, code, part):
    answer = await rest("tasks.task.add", fields=fields)
    assert (answer.status_code, answer.json()["error"]) == (400, code)
    assert part in answer.json()["error_description"]


async def test_the_old_version_does_not_know_the_idempotency_key(rest):
    body = {"fields": {"TITLE": "A", "RESPONSIBLE_ID": 3}}
    url = f"/rest/1/{rest.portal.secret}/tasks.task.add"
    answers = [await rest.http.post(url, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.json()["result"]["task"]["id"] for answer in answers] == ["1", "2"]
    assert list(rest.portal.ledger.created_twice("task").values()) == [[1, 2]]


async def test_an_update_sends_the_task_back(rest):
    await added(rest)
    answer = await rest("tasks.task.update", taskId=1, fields={"RESPONSIBLE_ID": "4"})
    assert answer.json()["result"]["task"]["responsibleId"] == "4"
    assert [(change.field, change.new) for change in rest.portal.ledger] == [("responsibleId", 4)]


async def test_a_completed_task_says_who_and_when(rest):
    await added(rest)
    task = (await rest("tasks.task.complete", taskId=1)).json()["result"]["task"]
    assert (task["status"], task["closedBy"]) == ("5", "1")
    assert task["closedDate"]


@pytest.mark.parametrize(
    ("params", "code"),
    [({}, "100"), ({"taskId": "abc"}, "0"), ({"taskId": 77}, "0")],
    ids=["missing", "no number", "unknown"],
)
@pytest.mark.parametrize("method", ["tasks.task.update", "tasks.task.complete"])
async def test_a_wrong_task_id_is_refused(rest, method, params, code):
    answer = await rest(method, fields={"TITLE": "A"}, **params)
    assert (answer.status_code, answer.json()["error"]) == (400, code)


async def test_a_task_that_is_not_there_is_an_empty_list(rest):
    assert (await rest("tasks.task.get", taskId=5)).json()["result"] == []


async def test_lists_are_filtered_and_sorted_by_other_names_than_they_show(rest):
    for deal in ("D_1", "D_2", "D_1"):
        await added(rest, UF_CRM_TASK=[deal])
    answer = await rest("tasks.task.list", filter={"UF_CRM_TASK": "D_1"}, select=["ID", "TITLE"])
    assert [task["id"] for task in answer.json()["result"]["tasks"]] == ["3", "1"]
    assert answer.json()["total"] == 2
    assert (await rest("tasks.task.list", order={"id_": "asc"})).json()["error"] == "0"


async def test_lists_have_pages_of_fifty(rest):
    for _ in range(52):
        await added(rest)
    first = (await rest("tasks.task.list", order={"ID": "asc"})).json()
    rest_of = (await rest("tasks.task.list", order={"ID": "asc"}, filter={">ID": 50})).json()
    assert (len(first["result"]["tasks"]), first["next"], first["total"]) == (50, 50, 52)
    assert [task["id"] for task in rest_of["result"]["tasks"]] == ["51", "52"]
