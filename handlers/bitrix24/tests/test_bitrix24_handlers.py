"""The handlers of items, tasks and messages, on a portal that loses answers: nothing is done twice."""

import asyncio
from typing import Any

import httpx
import pytest
from carex_bitrix24 import Settings, plugin
from carex_bitrix24.client import Portal as Client
from carex_bitrix24.simulator import Fault, Portal

from carex import BpmnError, Context, Fail, Retry, Task, Wait

DEAL, CONTACT, SMART = 2, 3, 128


def fast(**more: Any) -> Portal:
    return Portal(**{"latency": 0.0, "rate": 1000.0, **more})


def run(portal: Portal, type: str, payload: dict[str, Any], *, attempt: int = 1, id: str = "task-1") -> Any:
    """One attempt, as a worker would make it."""
    settings = Settings.model_validate(
        {"webhook": f"http://portal/rest/1/{portal.secret}/", "requests_per_second": 1000}
    )

    async def scenario() -> Any:
        handler = plugin.handlers[type]
        async with Client(settings, transport=httpx.ASGITransport(portal.asgi())) as client:
            ctx = Context(Task(type, payload, id=id, attempt=attempt), client=client, settings=settings)
            return await handler.function(handler.parse(payload), ctx)

    return asyncio.run(scenario())


def until_done(portal: Portal, type: str, payload: dict[str, Any], **more: Any) -> Any:
    """Attempts until one succeeds; a `Wait` does not count as one."""
    attempt = 1
    for _ in range(20):
        try:
            return run(portal, type, payload, attempt=attempt, **more)
        except Retry:
            attempt += 1
        except Wait:
            pass
    raise AssertionError("it does not end")


def loses_answers(portal: Portal, method: str, count: int = 2) -> Portal:
    portal.faults.add(Fault("html_502", method, count=count, applied=True))
    return portal


# ------------------------------------------------------------------ items


@pytest.mark.parametrize(
    ("entity", "type"), [("deal", DEAL), ("contact", CONTACT), (SMART, SMART), ("dynamic_128", SMART)]
)
def test_an_item_is_made_once_although_the_answer_is_lost(entity: Any, type: int) -> None:
    portal = loses_answers(fast(auto_create=False), "crm.item.add")

    result = until_done(portal, "bitrix_create_item", {"entity": entity, "fields": {"assignedById": 4}})

    items = [item for item in portal.items if item.entity_type_id == type]
    assert [item.id for item in items] == [result["item_id"]]
    assert result["created"] is False


def test_another_task_makes_another_item() -> None:
    portal = fast(auto_create=False)

    made = [run(portal, "bitrix_create_item", {"fields": {"title": "Same"}}, id=id)["item_id"] for id in ("a", "b")]

    assert made[0] != made[1]


def test_an_item_is_updated_and_its_fields_are_told() -> None:
    result = run(fast(), "bitrix_update_item", {"id": 7, "fields": {"title": "New", "assignedById": 5}})

    assert result == {"item_id": 7, "changed": {"title": "New", "assignedById": 5}}


def test_a_field_that_the_portal_passed_over_is_named() -> None:
    with pytest.raises(Fail, match="no field titel"):
        run(fast(), "bitrix_update_item", {"id": 7, "fields": {"titel": "New"}})


def test_fields_of_an_item_become_variables() -> None:
    portal = fast()
    portal.add_item(DEAL, 7, title="Big one")

    result = run(portal, "bitrix_get_item", {"id": 7, "select": ["id", "title"]})

    assert result == {"id": 7, "title": "Big one"}


@pytest.mark.parametrize("type", ["bitrix_get_item", "bitrix_update_item"])
def test_a_missing_item_is_an_error_for_the_process(type: str) -> None:
    with pytest.raises(BpmnError) as missing:
        run(fast(auto_create=False), type, {"id": 7, "fields": {"title": "x"}})

    assert missing.value.code == "NOT_FOUND"


def test_an_unknown_kind_of_item_is_refused_by_name() -> None:
    (problem,) = plugin.handlers["bitrix_get_item"].problems({"id": 7, "entity": "invoice"})

    assert problem["field"] == "entity"


# ------------------------------------------------------------------ tasks


def test_a_task_is_made_exactly_once_although_the_answer_is_lost() -> None:
    portal = loses_answers(fast(), "tasks.task.add")

    result = until_done(portal, "bitrix_create_task", {"title": "Call", "responsible_id": 4, "item_id": 7})

    (task,) = portal.tasks.all()
    assert task.id == result["task_id"]
    assert (task.values["responsibleId"], task.values["crmItemIds"]) == (4, ["D_7"])


def test_the_attempts_of_one_task_send_the_same_bytes() -> None:
    asked: list[tuple[str, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.headers["idempotency-key"], request.content))
        assert request.url.path == "/rest/api/1/s3cr3t/tasks.task.add"
        return httpx.Response(200, json={"result": {"item": {"id": 9}}})

    async def scenario() -> None:
        settings = Settings.model_validate({"webhook": "https://portal.example/rest/1/s3cr3t/"})
        payload = {"title": "Call", "responsible_id": 4, "deadline": "2026-01-31T18:00:00+03:00"}
        handler = plugin.handlers["bitrix_create_task"]
        async with Client(settings, transport=httpx.MockTransport(answer)) as client:
            for attempt in (1, 2):
                ctx = Context(Task("x", payload, id="t", key="camunda:ключ", attempt=attempt), client=client)
                await handler.function(handler.parse(payload), ctx)

    asyncio.run(scenario())

    assert asked[0] == asked[1]
    assert asked[0][0].isascii()


def test_a_task_is_completed_once_and_again() -> None:
    portal = fast()
    task_id = run(portal, "bitrix_create_task", {"title": "Call", "responsible_id": 4})["task_id"]

    for _ in range(2):
        assert run(portal, "bitrix_complete_task", {"task_id": task_id}) == {"task_id": task_id}


def test_a_task_is_changed() -> None:
    portal = fast()
    task_id = run(portal, "bitrix_create_task", {"title": "Call", "responsible_id": 4})["task_id"]

    run(portal, "bitrix_update_task", {"task_id": task_id, "fields": {"TITLE": "Call back"}})

    assert [task.values["title"] for task in portal.tasks.all()] == ["Call back"]


# ------------------------------------------------------------------ messages


def test_a_comment_is_written() -> None:
    portal = fast()

    run(portal, "bitrix_comment", {"id": 7, "text": "Called"})

    assert [(each.item_id, each.text.partition("\n")[0]) for each in portal.comments] == [(7, "Called")]


@pytest.mark.parametrize(
    "task",
    [Task("x", {}, id="task-1", attempt=2), Task("x", {}, id="task-1", created=1_700_000_000.0)],
    ids=["after a retry", "perhaps after a wait"],
)
def test_after_a_lost_answer_a_comment_is_looked_for_before_it_is_written_again(task: Task) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.rpartition("/")[2])
        rows = [{"ID": "31", "COMMENT": "Other"}, {"ID": "30", "COMMENT": "Called\n#carex-7afaa346b4bf"}]
        return httpx.Response(200, json={"result": rows})

    async def scenario() -> Any:
        settings = Settings.model_validate({"webhook": "https://portal.example/rest/1/s3cr3t/"})
        handler = plugin.handlers["bitrix_comment"]
        async with Client(settings, transport=httpx.MockTransport(answer)) as client:
            ctx = Context(task, client=client)
            return await handler.function(handler.parse({"id": 7, "text": "Called"}), ctx)

    assert asyncio.run(scenario()) == {"comment_id": 30}
    assert asked == ["crm.timeline.comment.list"]


def test_a_comment_whose_answer_was_lost_comes_again_only_with_a_look() -> None:
    portal = loses_answers(fast(), "crm.timeline.comment.add", 1)

    with pytest.raises(Wait) as again:
        run(portal, "bitrix_comment", {"id": 7, "text": "Called"})

    assert again.value.delay == 10.0


def test_a_notification_whose_answer_was_lost_takes_the_place_of_the_first() -> None:
    portal = loses_answers(fast(), "im.notify.system.add")

    until_done(portal, "bitrix_notify", {"user_id": 4, "text": "Hello"})

    assert [(note.user_id, note.text) for note in portal.notifications.values()] == [(4, "Hello")]


def test_nobody_to_notify_is_said() -> None:
    with pytest.raises(Fail, match="is this an active employee"):
        run(fast(), "bitrix_notify", {"user_id": 999, "text": "Hello"})


# ------------------------------------------------------------------ employees


def test_everybody_who_works_at_the_portal_is_known() -> None:
    portal = fast(employees=60)
    portal.set_employee(2, active=False, time_zone="Europe/Samara")

    async def scenario() -> Any:
        settings = Settings.model_validate({"webhook": f"http://portal/rest/1/{portal.secret}/"})
        async with Client(settings, transport=httpx.ASGITransport(portal.asgi())) as client:
            assert plugin.employees
            return await plugin.employees(client)

    found = asyncio.run(scenario())

    assert [each.id for each in found] == list(range(1, 61))
    assert (found[0].name, found[0].active, found[0].departments) == ("Анна Орлова", True, ("Отдел продаж",))
    assert (found[1].active, found[1].time_zone) == (False, "Europe/Samara")
