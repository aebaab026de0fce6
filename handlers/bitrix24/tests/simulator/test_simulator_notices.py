"""Comments and notifications."""

import pytest

pytestmark = pytest.mark.anyio


async def test_a_comment_sent_twice_is_there_twice(rest):
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 5, "COMMENT": "Назначено"}
    numbers = [(await rest("crm.timeline.comment.add", fields=fields)).json()["result"] for _ in range(2)]
    assert [comment.id for comment in rest.portal.comments] == numbers
    assert [change.field for change in rest.portal.ledger] == ["timelineComment"] * 2


async def test_a_comment_can_be_about_a_smart_process(rest):
    await rest("crm.timeline.comment.add", fields={"ENTITY_TYPE": "dynamic_130", "ENTITY_ID": 5, "COMMENT": "x"})
    assert rest.portal.comments[0].entity_type_id == 130


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"FIELDS": {"ENTITY_TYPE": "deal", "ENTITY_ID": 5, "COMMENT": "x"}}, "100"),
        ({"fields": {"ENTITY_TYPE": "deal", "ENTITY_ID": 5, "COMMENT": " "}}, "INVALID_ARG_VALUE"),
        ({"fields": {"ENTITY_TYPE": "deal", "ENTITY_ID": 66, "COMMENT": "x"}}, "OWNER_NOT_FOUND"),
        ({"fields": {"ENTITY_TYPE": "table", "ENTITY_ID": 5, "COMMENT": "x"}}, "OWNER_NOT_FOUND"),
    ],
)
async def test_a_comment_is_refused(rest, params, code):
    rest.portal.missing.add((2, 66))
    answer = await rest("crm.timeline.comment.add", **params)
    assert (answer.status_code, answer.json()["error"]) == (400, code)
    assert rest.portal.comments == []


@pytest.mark.parametrize(("extra", "left"), [({"TAG": "t", "CLIENT_ID": "c"}, 1), ({"TAG": "t"}, 2), ({}, 2)])
async def test_a_tag_with_a_client_id_replaces_the_earlier_notification(rest, extra, left):
    for text in ("one", "two"):
        assert (await rest("im.notify.system.add", USER_ID=2, MESSAGE=text, **extra)).json()["result"]
    assert len(rest.portal.notifications) == left
    assert list(rest.portal.notifications.values())[-1].text == "two"


async def test_a_tag_does_not_touch_other_people(rest):
    for user in (2, 3):
        await rest("im.notify.system.add", USER_ID=user, MESSAGE="x", TAG="t", CLIENT_ID="c")
    assert len(rest.portal.notifications) == 2


async def test_nobody_is_told_if_there_is_nobody(rest):
    assert (await rest("im.notify.system.add", USER_ID=999, MESSAGE="x")).json()["result"] is False


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"MESSAGE": "x"}, "USER_ID_EMPTY"),
        ({"USER_ID": 1}, "MESSAGE_EMPTY"),
        ({"USER_ID": 1, "MESSAGE": "x", "ATTACH": "a" * 60_001}, "ATTACH_OVERSIZE"),
    ],
)
async def test_a_notification_is_refused(rest, params, code):
    answer = await rest("im.notify.system.add", **params)
    assert (answer.status_code, answer.json()["error"]) == (400, code)


async def test_a_personal_notification_is_a_notification(rest):
    await rest("im.notify.personal.add", USER_ID=3, MESSAGE="Новая сделка")
    assert [one.user_id for one in rest.portal.notifications.values()] == [3]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"ownerTypeId": 2, "ownerId": 7}, "100"),
        ({"ownerTypeId": 2, "ownerId": 66, "deadline": "2026-12-01"}, "OWNER_NOT_FOUND"),
        ({"ownerTypeId": 2, "ownerId": 67, "deadline": "2026-12-01"}, "ACCESS_DENIED"),
        ({"ownerTypeId": 2, "ownerId": 7, "deadline": "soon"}, "WRONG_DATETIME_FORMAT"),
    ],
)
async def test_a_todo_that_makes_no_sense_is_refused(rest, params, code):
    rest.portal.missing.add((2, 66))
    rest.portal.denied.add((2, 67))
    assert (await rest("crm.activity.todo.add", **params)).json()["error"] == code
