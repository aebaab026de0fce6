"""The bucket and the operating time."""

import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_the_bucket_refuses_what_does_not_fit(open_portal):
    rest = open_portal(capacity=3.0)
    answers = [await rest("profile") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 503]
    assert answers[3].json() == {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
    assert (rest.portal.ledger.requests, rest.portal.ledger.refusals) == (4, 1)


async def test_the_bucket_drains_with_time(open_portal, clock):
    rest = open_portal(capacity=1.0, rate=2.0)
    await rest("profile")
    clock.seconds = 0.4
    assert (await rest("profile")).status_code == 503
    clock.seconds = 0.5
    assert (await rest("profile")).status_code == 200


@pytest.mark.parametrize(("fill", "status"), [(False, 200), (True, 503)])
async def test_refusals_fill_the_bucket_only_if_told_so(open_portal, clock, fill, status):
    rest = open_portal(capacity=1.0, rate=1.0, refusals_fill=fill)
    for _ in range(3):
        await rest("profile")
    clock.seconds = 1.0
    assert (await rest("profile")).status_code == status


async def test_the_time_of_the_portal_can_run_faster(open_portal, clock):
    rest = open_portal(capacity=1.0, rate=1.0, speed=100.0)
    await rest("profile")
    clock.seconds = 0.01
    assert (await rest("profile")).status_code == 200
    assert rest.portal.now() == pytest.approx(1.0)


async def test_a_batch_is_one_request(open_portal):
    rest = open_portal(capacity=1.0)
    await rest.batch(**{f"c{number}": "profile" for number in range(50)})
    assert rest.portal.bucket.level == 1.0


async def test_a_wrong_secret_fills_the_bucket_too(open_portal):
    rest = open_portal(capacity=1.0)
    await rest.http.post("/rest/1/wrong/profile")
    assert (await rest("profile")).status_code == 503


async def test_the_call_after_the_operating_limit_is_refused(open_portal):
    rest = open_portal(operating_limit=10.0, operating_cost={"profile": 11.0})
    first, second = await rest("profile"), await rest("profile")
    assert first.json()["time"]["operating"] == 11.0
    assert (second.status_code, second.json()["error"]) == (429, "OPERATION_TIME_LIMIT")
    assert "retry-after" not in second.headers
    assert "time" not in second.json()


async def test_other_methods_go_on_when_one_is_over_its_operating_limit(open_portal):
    rest = open_portal(operating_limit=10.0, operating_cost={"profile": 11.0})
    await rest("profile")
    assert (await rest("server.time")).status_code == 200


async def test_operating_time_is_given_back_ten_minutes_after_the_first_call_of_its_minute(open_portal, clock):
    rest = open_portal(operating_limit=10.0, operating_cost={"profile": 11.0})
    clock.seconds = 90.0
    time = (await rest("profile")).json()["time"]
    assert time["operating_reset_at"] == int(rest.portal.unix(690.0))
    clock.seconds = 689.0
    assert (await rest("profile")).status_code == 429
    clock.seconds = 690.0
    assert (await rest("profile")).status_code == 200


async def test_without_limiter_nothing_is_said_about_operating(open_portal):
    time = (await open_portal(operating_limit=None)("profile")).json()["time"]
    assert not {"operating", "operating_reset_at"} & set(time)


@pytest.mark.parametrize(("billing", "billed"), [("inner", "profile"), ("outer", "batch")])
async def test_a_batch_is_billed_to_its_commands_or_to_itself(open_portal, billing, billed):
    rest = open_portal(batch_billing=billing, operating_limit=10.0, operating_cost={"profile": 6.0})
    await rest.batch(a="profile", b="profile")
    used = {method: rest.portal.operating.used(method, 0.0) for method in ("profile", "batch")}
    assert max(used, key=used.__getitem__) == billed
    assert used[billed] == pytest.approx(12.0, abs=0.1)
    assert (await rest(billed)).status_code == 429


async def test_the_bucket_can_drain_once_a_second(open_portal, clock):
    rest = open_portal(capacity=2.0, rate=2.0, stepwise=True)
    clock.seconds = 0.2
    seen = [(await rest("profile")).status_code for _ in range(2)]
    for clock.seconds in (0.9, 1.0):
        seen.append((await rest("profile")).status_code)
    assert seen == [200, 200, 503, 200]


@pytest.mark.parametrize(("per_address", "status"), [(False, 503), (True, 200)])
async def test_addresses_share_a_bucket_or_have_their_own(open_portal, per_address, status):
    rest = open_portal(capacity=1.0, per_address=per_address)
    await rest("profile")
    transport = httpx.ASGITransport(rest.portal.asgi(), client=("127.0.0.2", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://portal.example") as other:
        assert (await other.get(f"/rest/1/{rest.portal.secret}/profile")).status_code == status


@pytest.mark.parametrize("counters", [False, True])
async def test_a_refusal_for_operating_time_says_until_when_only_if_told_so(open_portal, counters):
    rest = open_portal(operating_limit=10.0, operating_cost={"profile": 11.0}, counters_in_429=counters)
    await rest("profile")
    assert ("operating_reset_at" in (await rest("profile")).json().get("time", {})) is counters
