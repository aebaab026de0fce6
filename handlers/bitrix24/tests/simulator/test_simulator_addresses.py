"""Where a call may be sent, and in which of its forms the parameters may come."""

import pytest
from carex_bitrix24.simulator import Method, Reply

pytestmark = pytest.mark.anyio
SECRET = "s3cr3t0simulated"


@pytest.mark.parametrize("suffix", ["", ".json"])
@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_method_answers_with_and_without_json_suffix(rest, verb, suffix):
    answer = await rest.http.request(verb, f"/rest/1/{SECRET}/profile{suffix}")
    assert answer.json()["result"]["ID"] == "1"


@pytest.mark.parametrize("path", ["/rest/1/wrong/profile", f"/rest/2/{SECRET}/profile", "/rest/profile", "/other"])
async def test_a_wrong_secret_is_not_let_in(rest, path):
    answer = await rest.http.post(path)
    assert (answer.status_code, answer.json()["error"]) == (401, "NO_AUTH_FOUND")


@pytest.mark.parametrize(
    "request_parts",
    [
        {"json": {"entityTypeId": 2, "id": 7}},
        {"content": "entityTypeId=2&id=7", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"data": {"entityTypeId": "2", "id": "7"}, "files": {"f": b"x"}},
        {"params": {"entityTypeId": "2", "id": "7"}},
        {"params": {"entityTypeId": "2", "id": "9"}, "json": {"id": 7}},
        {"params": {"entityTypeId": "2", "id": "9"}, "data": {"id": "7"}},
    ],
    ids=["json", "form", "multipart", "query", "json over query", "form over query"],
)
async def test_parameters_come_in_any_form_and_the_body_wins(rest, request_parts):
    answer = await rest.http.post(f"/rest/1/{SECRET}/crm.item.get", **request_parts)
    assert answer.json()["result"]["item"]["id"] == 7


async def test_json_without_its_content_type_is_not_read(rest):
    answer = await rest.http.post(f"/rest/1/{SECRET}/crm.item.get", content='{"entityTypeId": 2, "id": 7}')
    assert (answer.status_code, answer.json()["error"]) == (400, "100")


async def test_rest_3_says_no_with_a_map(rest):
    answer = await rest.http.post(f"/rest/api/1/{SECRET}/crm.deal.get", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"].startswith("BITRIX_REST_V3_EXCEPTION_")
    assert answer.json()["error"]["message"]


async def test_a_method_added_to_the_table_is_called(rest):
    rest.portal.methods_v3["tasks.task.add"] = Method(lambda call: Reply({"item": {"id": call.params["id"]}}))
    answer = await rest.http.post(f"/rest/api/1/{SECRET}/tasks.task.add?id=2", json={"id": 1})
    assert answer.json()["result"] == {"item": {"id": 1}}


async def test_an_unknown_method_is_not_found(rest):
    answer = await rest("crm.item.explode")
    assert (answer.status_code, answer.json()["error"]) == (404, "ERROR_METHOD_NOT_FOUND")


async def test_a_method_outside_the_scopes_is_forbidden(rest):
    rest.portal.scopes.discard("crm")
    answer = await rest("crm.item.get", entityTypeId=2, id=1)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize(("required", "status"), [(True, 400), (False, 200)])
async def test_plain_http_is_an_invalid_request_if_https_is_required(open_portal, required, status):
    answer = await open_portal(require_https=required)("profile")
    assert answer.status_code == status
    assert answer.json().get("error") == ("INVALID_REQUEST" if required else None)


async def test_an_answer_says_when_and_how_long(rest, clock):
    clock.seconds = 30.0
    time = (await rest("profile")).json()["time"]
    assert {"start", "finish", "duration", "processing", "operating", "operating_reset_at"} < set(time)
    assert time["date_start"].endswith("+03:00")
    assert time["operating_reset_at"] > time["finish"]
