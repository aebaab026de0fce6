"""REST 3: numbers, errors field by field, and the Idempotency-Key."""

import asyncio

import httpx
import pytest
from carex_bitrix24.simulator import Fault

pytestmark = pytest.mark.anyio
GOOD = {"fields": {"title": "Позвонить", "creatorId": 1, "responsibleId": 3}}


@pytest.fixture
def post(rest):
    async def send(method, body, key=None, **options):
        headers = {} if key is None else {"Idempotency-Key": key}
        url = f"/rest/api/1/{rest.portal.secret}/{method}"
        return await rest.http.post(url, **({"json": body} | options), headers=headers)

    return send


def code(answer):
    return answer.json()["error"]["code"].removeprefix("BITRIX_REST_V3_EXCEPTION_")


async def test_a_new_task_comes_back_in_numbers_and_words(post):
    item = (await post("tasks.task.add", GOOD)).json()["result"]["item"]
    assert (item["id"], item["status"], item["priority"], item["deadline"]) == (1, "pending", "average", None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"creatorId": 1, "responsibleId": 3}, "title"),
        ({**GOOD["fields"], "responsibleId": "3"}, "responsibleId"),
        ({**GOOD["fields"], "responsibleId": 999}, "responsibleId"),
        ({**GOOD["fields"], "deadline": "tomorrow"}, "deadline"),
        ({**GOOD["fields"], "status": "sleeping"}, "status"),
        ({}, "fields"),
    ],
)
async def test_mistakes_are_named_field_by_field(post, fields, field):
    answer = await post("tasks.task.add", {"fields": fields})
    assert (answer.status_code, code(answer)) == (400, "VALIDATION_REQUESTVALIDATIONEXCEPTION")
    assert [problem["field"] for problem in answer.json()["error"]["validation"]] == [field]


@pytest.mark.parametrize("options", [{"json": None, "content": b"{"}, {"json": None, "data": {"id": "1"}}])
async def test_a_body_that_is_not_json_is_refused(post, options):
    answer = await post("tasks.task.get", None, **options)
    assert (answer.status_code, code(answer)) == (400, "INVALIDJSONEXCEPTION")


async def test_the_query_is_not_read(rest, post):
    await post("tasks.task.add", GOOD)
    answer = await rest.http.get(f"/rest/api/1/{rest.portal.secret}/tasks.task.get?id=1")
    assert code(answer) == "VALIDATION_REQUESTVALIDATIONEXCEPTION"


async def test_a_task_is_updated_but_keeps_its_creator(rest, post):
    await post("tasks.task.add", GOOD)
    answer = await post("tasks.task.update", {"id": 1, "fields": {"status": "completed"}})
    assert answer.json()["result"] == {"result": True}
    refused = await post("tasks.task.update", {"id": 1, "fields": {"creatorId": 2}})
    assert refused.json()["error"]["validation"][0]["field"] == "creatorId"
    assert (await rest("tasks.task.get", taskId=1)).json()["result"]["task"]["status"] == "5"


@pytest.mark.parametrize(
    ("method", "status", "wanted"),
    [
        ("tasks.task.get", 400, "ENTITYNOTFOUNDEXCEPTION"),
        ("tasks.task.update", 403, "ACCESSDENIEDEXCEPTION"),
    ],
)
async def test_a_task_that_is_not_there_is_an_error(post, method, status, wanted):
    answer = await post(method, {"id": 5, "fields": {"title": "A"}})
    assert (answer.status_code, code(answer)) == (status, wanted)


async def test_a_missing_scope_is_an_error_of_rest_3(rest, post):
    rest.portal.scopes.discard("tasks")
    answer = await post("tasks.task.add", GOOD)
    assert (answer.status_code, code(answer)) == (403, "INSUFFICIENTSCOPEEXCEPTION")


@pytest.mark.parametrize(("shape", "error"), [("map", {"code": "OVERLOAD_LIMIT"}), ("flat", "OVERLOAD_LIMIT")])
async def test_errors_of_the_whole_system_come_in_either_shape(rest, post, shape, error):
    rest.portal.v3_system_errors = shape
    rest.portal.faults.add(Fault("overload"))
    answer = await post("tasks.task.add", GOOD)
    seen = answer.json()["error"]
    assert (answer.status_code, seen if shape == "flat" else {"code": seen["code"]}) == (503, error)


async def test_a_repeated_call_is_answered_but_not_carried_out(rest, post):
    first, second = await post("tasks.task.add", GOOD, "k"), await post("tasks.task.add", GOOD, "k")
    assert first.content == second.content
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "k"
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
    assert (len(rest.portal.tasks.all()), rest.portal.ledger.created_twice()) == (1, {})


async def test_a_lost_answer_is_found_again_by_its_key(rest, post):
    rest.portal.faults.add(Fault("answer_lost", count=1))
    with pytest.raises(httpx.RemoteProtocolError):
        await post("tasks.task.add", GOOD, "k")
    assert (await post("tasks.task.add", GOOD, "k")).json()["result"]["item"]["id"] == 1
    assert len(rest.portal.tasks.all()) == 1


async def test_a_used_key_with_another_body_is_refused(post):
    await post("tasks.task.add", GOOD, "k")
    answer = await post("tasks.task.add", {"fields": {**GOOD["fields"], "title": "B"}}, "k")
    assert (answer.status_code, code(answer)) == (422, "IDEMPOTENCYKEYREUSEDEXCEPTION")


@pytest.mark.parametrize("key", ["", "a" * 256, "a\tb"], ids=["empty", "long", "tab"])
async def test_a_bad_key_is_refused(post, key):
    answer = await post("tasks.task.add", GOOD, key)
    assert (answer.status_code, code(answer)) == (400, "INVALIDIDEMPOTENCYKEYEXCEPTION")


async def test_a_key_is_forgotten_after_a_day(rest, post, clock):
    await post("tasks.task.add", GOOD, "k")
    clock.seconds = 86_400.0
    await post("tasks.task.add", GOOD, "k")
    assert len(rest.portal.tasks.all()) == 2


async def test_an_error_is_not_kept(rest, post):
    assert (await post("tasks.task.add", {"fields": {"title": "A"}}, "k")).status_code == 400
    assert (await post("tasks.task.add", GOOD, "k")).status_code == 200


async def test_one_key_in_two_methods_means_two_calls(post):
    await post("tasks.task.add", GOOD, "k")
    assert (await post("tasks.task.update", {"id": 1, "fields": {"title": "B"}}, "k")).status_code == 200


async def test_two_calls_with_one_key_at_the_same_time_both_run(rest, post):
    await asyncio.gather(post("tasks.task.add", GOOD, "k"), post("tasks.task.add", GOOD, "k"))
    assert len(rest.portal.tasks.all()) == 2


async def test_reading_heeds_no_key(post):
    await post("tasks.task.add", GOOD)
    before = await post("tasks.task.get", {"id": 1}, "k")
    await post("tasks.task.update", {"id": 1, "fields": {"title": "B"}})
    after = await post("tasks.task.get", {"id": 1}, "k")
    titles = [answer.json()["result"]["item"]["title"] for answer in (before, after)]
    assert (titles, "idempotency-key" in after.headers) == (["Позвонить", "B"], False)
