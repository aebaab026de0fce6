"""batch: always 200, errors inside, PHP's shapes."""

import pytest
from carex_bitrix24.simulator import Fault

pytestmark = pytest.mark.anyio


async def test_commands_run_in_order_and_use_earlier_results(rest):
    result = await rest.batch(
        u="user.get?FILTER[ID]=3",
        d="crm.item.update?entityTypeId=2&id=5&fields[assignedById]=$result[u][0][ID]",
        c="crm.timeline.comment.add?fields[ENTITY_TYPE]=deal&fields[ENTITY_ID]=5"
        "&fields[COMMENT]=for%20%24result[d][item][assignedById]!",
    )
    assert result["result_error"] == []
    assert rest.portal.responsible(2, 5) == 3
    assert rest.portal.comments[0].text == "for 3!"


async def test_a_result_that_is_not_there_is_empty(rest):
    result = await rest.batch(d="crm.item.get?entityTypeId=2&id=$result[nobody][ID]")
    assert result["result_error"]["d"]["error"] == "100"


async def test_values_are_decoded_as_php_does(rest):
    await rest.batch(
        d="crm.item.update?entityTypeId=2&id=5&fields[title]=A%26B+C&fields[contactIds][]=7&fields[contactIds][]=8"
    )
    values = rest.portal.find(2, 5).values
    assert (values["title"], values["contactIds"]) == ("A&B C", [7, 8])


async def test_a_batch_in_a_query_is_encoded_twice(rest):
    command = "crm.item.update%3FentityTypeId%3D2%26id%3D5%26fields%5Btitle%5D%3DA%2526B"
    await rest.http.get(f"/rest/1/{rest.portal.secret}/batch?cmd[d]={command}")
    assert rest.portal.find(2, 5).values["title"] == "A&B"


async def test_without_halt_the_others_go_on(rest):
    rest.portal.missing.add((2, 66))
    result = await rest.batch(a="crm.item.get?entityTypeId=2&id=66", b="profile", c="crm.deal.get?id=66")
    assert list(result["result"]) == list(result["result_time"]) == ["b"]
    assert {name: error["error"] for name, error in result["result_error"].items()} == {"a": "NOT_FOUND", "c": ""}


@pytest.mark.parametrize("halt", [1, "1", True])
async def test_with_halt_the_rest_is_in_neither_map(rest, halt):
    rest.portal.missing.add((2, 66))
    result = await rest.batch(a="profile", b="crm.item.get?entityTypeId=2&id=66", c="profile", halt=halt)
    assert list(result["result"]) == ["a"]
    assert list(result["result_error"]) == ["b"]


async def test_empty_maps_are_lists(rest):
    result = await rest.batch(a="profile")
    assert (result["result_error"], result["result_total"], result["result_next"]) == ([], [], [])


async def test_commands_in_a_list_give_lists(rest):
    result = await rest.batch("profile", "server.time")
    assert isinstance(result["result"], list)
    assert len(result["result"]) == 2


async def test_numbered_errors_no_longer_say_whose_they_are(rest):
    rest.portal.missing.add((2, 66))
    result = await rest.batch("profile", "crm.deal.get?id=66", "crm.deal.get")
    assert [error["error_description"] for error in result["result_error"]] == [
        "Not found",
        "ID is not defined or invalid.",
    ]
    assert list(result["result"]) == [result["result"][0]]


async def test_lists_tell_total_and_next_by_name(open_portal):
    result = await open_portal(employees=70).batch(u="user.get?start=0")
    assert (result["result_total"], result["result_next"]) == ({"u": 70}, {"u": 50})


async def test_commands_beyond_fifty_are_not_run(rest):
    commands = {f"c{number}": f"crm.deal.update?id={number + 1}&fields[ASSIGNED_BY_ID]=2" for number in range(52)}
    result = await rest.batch(**commands)
    assert len(result["result"]) == 50
    assert {error["error"] for error in result["result_error"].values()} == {"ERROR_BATCH_LENGTH_EXCEEDED"}
    assert list(result["result_error"]) == ["c50", "c51"]
    assert rest.portal.ledger.people(2, 51) == []


async def test_a_batch_in_a_batch_is_refused(rest):
    result = await rest.batch(a="batch?cmd[x]=profile", b="profile")
    assert result["result_error"]["a"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert "b" in result["result"]


async def test_an_unknown_method_in_a_batch_is_an_error_of_its_own(rest):
    result = await rest.batch(a="no.such?x=1")
    assert result["result_error"]["a"]["error"] == "ERROR_METHOD_NOT_FOUND"


async def test_a_command_over_its_operating_limit_fails_alone(open_portal):
    rest = open_portal(operating_limit=1.0, operating_cost={"profile": 2.0})
    result = await rest.batch(a="profile", b="profile", c="server.time")
    assert result["result_error"]["b"]["error"] == "OPERATION_TIME_LIMIT"
    assert set(result["result"]) == {"a", "c"}


async def test_commands_are_counted_apart_from_requests(rest):
    await rest.batch(a="profile", b="crm.deal.get")
    assert dict(rest.portal.ledger.calls) == {("batch", "OK"): 1}
    assert dict(rest.portal.ledger.batched) == {("profile", "OK"): 1, ("crm.deal.get", ""): 1}


async def test_a_batch_that_takes_more_than_a_minute_is_cut_off_in_the_middle(open_portal):
    rest = open_portal(operating_cost={"crm.deal.update": 20.0}, operating_limit=None)
    commands = {f"c{number}": f"crm.deal.update?id={number}&fields[ASSIGNED_BY_ID]=2" for number in range(1, 6)}
    answer = await rest("batch", cmd=commands)
    assert (answer.status_code, answer.headers["content-type"]) == (504, "text/html")
    assert rest.portal.ledger.shares() == {2: 3}


async def test_a_fault_can_strike_one_command(rest):
    rest.portal.faults.add(Fault("error", method="crm.deal.get", code="ACCESS_DENIED", inside=True, count=1))
    result = await rest.batch(a="crm.deal.get?id=7", b="crm.deal.get?id=7")
    assert (result["result_error"]["a"]["error"], list(result["result"])) == ("ACCESS_DENIED", ["b"])


@pytest.mark.parametrize(("inside", "single", "batched"), [(True, 200, 1), (False, 500, 0)])
async def test_a_fault_strikes_commands_or_requests_but_not_both(rest, inside, single, batched):
    rest.portal.faults.add(Fault("status_500", method="crm.deal.get", inside=inside))
    result = await rest.batch(a="crm.deal.get?id=7")
    assert (len(result["result_error"]), (await rest("crm.deal.get", id=7)).status_code) == (batched, single)
