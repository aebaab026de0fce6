"""Each fault, when it strikes, and whether the call was carried out."""

import asyncio

import anyio
import httpx
import pytest
from carex_bitrix24.simulator import Fault

pytestmark = pytest.mark.anyio


async def give(rest):
    return await rest("crm.item.update", entityTypeId=2, id=7, fields={"assignedById": 3})


@pytest.mark.parametrize(
    ("kind", "status", "sign"),
    [
        ("status_500", 500, "INTERNAL_SERVER_ERROR"),
        ("html_502", 502, "<html>"),
        ("html_504", 504, "<html>"),
        ("html_403", 403, "<html>"),
        ("unavailable_503", 503, "<html>"),
        ("overload", 503, "OVERLOAD_LIMIT"),
        ("unauthorized", 401, "NO_AUTH_FOUND"),
        ("error_200", 200, '"error":"ERROR_CORE"'),
        ("operation_time_limit", 429, "OPERATION_TIME_LIMIT"),
        ("query_limit", 503, "QUERY_LIMIT_EXCEEDED"),
        ("error", 400, "ERROR_CORE"),
        ("html_200", 200, "<html>"),
        ("html_429", 429, "<html>"),
        ("html_500", 500, "<html>"),
        ("empty", 200, ""),
    ],
)
async def test_a_fault_answers_instead_of_the_method(rest, kind, status, sign):
    rest.portal.faults.add(Fault(kind))
    answer = await give(rest)
    assert answer.status_code == status
    assert sign in answer.text
    assert len(rest.portal.ledger) == 0
    assert rest.portal.ledger.calls == {("crm.item.update", f"fault:{kind}"): 1}


@pytest.mark.parametrize("kind", ["status_500", "html_500", "html_502", "html_504", "unavailable_503"])
async def test_a_gateway_can_give_up_on_a_call_that_was_carried_out(rest, kind):
    rest.portal.faults.add(Fault(kind, applied=True))
    assert (await give(rest)).status_code >= 500
    assert rest.portal.responsible(2, 7) == 3


@pytest.mark.parametrize(
    ("kind", "error", "people"),
    [("reset_before", httpx.ReadError, []), ("answer_lost", httpx.RemoteProtocolError, [3])],
)
async def test_a_connection_breaks_before_or_after_the_change(rest, kind, error, people):
    rest.portal.faults.add(Fault(kind))
    with pytest.raises(error):
        await give(rest)
    assert rest.portal.ledger.people(2, 7) == people


async def test_a_truncated_answer_is_no_json_but_the_change_is_there(rest):
    rest.portal.faults.add(Fault("truncated"))
    answer = await give(rest)
    with pytest.raises(ValueError):
        answer.json()
    assert rest.portal.ledger.people(2, 7) == [3]


async def test_a_slow_answer_is_carried_out_before_it_comes(rest):
    rest.portal.faults.add(Fault("slow", seconds=30.0))
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await give(rest)
    assert rest.portal.ledger.people(2, 7) == [3]


async def test_a_renamed_portal_redirects_until_asked_at_its_new_address(rest):
    rest.portal.faults.add(Fault("redirect", to="http://new.example/branch"))
    answer = await give(rest)
    assert answer.status_code == 302
    assert answer.headers["location"] == f"http://new.example/branch/rest/1/{rest.portal.secret}/crm.item.update"
    assert (
        await rest.http.post(answer.headers["location"], json={"entityTypeId": 2, "id": 7, "fields": {}})
    ).is_success


async def test_a_fault_strikes_as_often_as_told(rest):
    rest.portal.faults.add(Fault("html_502", count=2))
    assert [(await give(rest)).status_code for _ in range(3)] == [502, 502, 200]


async def test_a_fault_strikes_only_its_methods(rest):
    rest.portal.faults.add(Fault("html_502", method="crm.*"))
    assert (await rest("profile")).status_code == 200
    assert (await give(rest)).status_code == 502


async def test_a_fault_strikes_only_in_its_time(open_portal, clock):
    rest = open_portal(speed=10.0)
    rest.portal.faults.add(Fault("html_502", start=10.0, until=20.0))
    seen = []
    for clock.seconds in (0.9, 1.0, 1.9, 2.0):
        seen.append((await rest("profile")).status_code)
    assert seen == [200, 502, 502, 200]


async def test_chance_follows_the_seed(open_portal):
    series = []
    for seed in (1, 1, 2):
        rest = open_portal(seed=seed)
        rest.portal.faults.add(Fault("html_502", probability=0.5))
        series.append([(await rest("profile")).status_code for _ in range(20)])
    assert series[0] == series[1] != series[2]
    assert set(series[0]) == {200, 502}


async def test_a_fault_of_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ValueError, match="answer_lost"):
        Fault("explosion")


@pytest.mark.parametrize(
    "fault", [{"kind": "redirect"}, {"kind": "html_403", "applied": True}, {"kind": "html_502", "inside": True}]
)
async def test_a_fault_that_makes_no_sense_is_refused(fault):
    with pytest.raises(ValueError):
        Fault(**fault)


async def test_the_bucket_comes_before_the_faults(open_portal):
    rest = open_portal(capacity=0.5)
    rest.portal.faults.add(Fault("html_502", count=1))
    assert (await rest("profile")).json()["error"] == "QUERY_LIMIT_EXCEEDED"
    assert len(rest.portal.faults.left()) == 1


async def test_latency_delays_an_answer(open_portal):
    rest = open_portal(latency=30.0)
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await rest("profile")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("expired_token", 401),
        ("invalid_token", 401),
        ("PAYMENT_REQUIRED", 401),
        ("METHOD_CONFIRM_WAITING", 401),
        ("INVALID_CREDENTIALS", 403),
        ("user_access_error", 403),
        ("ACCESS_DENIED", 403),
        ("PORTAL_DELETED", 500),
        ("ERROR_UNEXPECTED_ANSWER", 500),
    ],
)
async def test_an_error_has_the_status_that_is_documented_for_it(rest, code, status):
    rest.portal.faults.add(Fault("error", code=code))
    answer = await give(rest)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.json()["error_description"]


async def test_an_error_can_have_another_status_and_text(rest):
    rest.portal.faults.add(Fault("error", code="PORTAL_DELETED", status=410, text="gone"))
    answer = await give(rest)
    assert (answer.status_code, answer.json()["error_description"]) == (410, "gone")


async def test_a_proxy_says_when_to_come_back(rest):
    rest.portal.faults.add(Fault("html_429", seconds=7))
    assert (await give(rest)).headers["retry-after"] == "7"


async def test_a_late_call_is_carried_out_after_a_while(rest):
    rest.portal.faults.add(Fault("late", seconds=0.05))
    call = asyncio.ensure_future(give(rest))
    await asyncio.wait({call}, timeout=0.01)
    assert (call.done(), rest.portal.ledger.people(2, 7)) == (False, [])
    await call
    assert rest.portal.ledger.people(2, 7) == [3]


async def test_a_hanging_call_is_not_carried_out(rest):
    rest.portal.faults.add(Fault("hang"))
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await give(rest)
    assert rest.portal.ledger.people(2, 7) == []


async def test_a_fault_lasts_from_when_it_is_armed(open_portal, clock):
    rest = open_portal()
    clock.seconds = 100.0
    rest.portal.faults.add(Fault("unavailable_503", lasting=60.0))
    seen = []
    for clock.seconds in (159.0, 160.0):
        seen.append((await rest("profile")).status_code)
    assert seen == [503, 200]


async def test_jitter_adds_by_chance_to_the_latency(open_portal):
    portal = open_portal(latency=1.0, jitter=0.5).portal
    delays = {portal.delay() for _ in range(20)}
    assert len(delays) == 20
    assert all(1.0 <= delay < 1.5 for delay in delays)
