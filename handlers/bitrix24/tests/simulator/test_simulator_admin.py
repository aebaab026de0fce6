"""Steering a portal from another process."""

import pytest
from carex_bitrix24.simulator import scenario

pytestmark = pytest.mark.anyio


async def test_the_state_can_be_read(rest):
    await rest("crm.item.update", entityTypeId=2, id=7, fields={"assignedById": 3})
    state = (await rest.http.get("/__sim/state")).json()
    assert state["items"] == [{"entityTypeId": 2, "id": 7, "assignedById": 3}]
    assert (state["requests"], state["refusals"], len(state["employees"])) == (1, 0, 8)


async def test_the_ledger_can_be_read(rest):
    for user in (3, 4):
        await rest("crm.item.update", entityTypeId=2, id=7, fields={"assignedById": user})
    book = (await rest.http.get("/__sim/ledger")).json()
    assert (book["given_to_two"], book["shares"]) == ({"7": [3, 4]}, {"4": 1})
    assert book["calls"] == [{"method": "crm.item.update", "outcome": "OK", "count": 2}]
    assert [change["new"] for change in book["changes"]] == [3, 4]
    assert (await rest.http.get("/__sim/ledger?entity_type_id=3")).json()["shares"] == {}


async def test_faults_can_be_added_and_taken_away(rest):
    await rest.http.post("/__sim/faults", json=[{"kind": "html_502", "count": 5}, {"kind": "overload"}])
    assert (await rest("profile")).status_code == 502
    assert [fault["count"] for fault in (await rest.http.get("/__sim/state")).json()["faults"]] == [4, None]
    await rest.http.delete("/__sim/faults")
    assert (await rest("profile")).status_code == 200


async def test_items_can_be_added_lost_and_found(rest):
    await rest.http.post("/__sim/items", json={"entityTypeId": 2, "id": 7, "fields": {"title": "Big"}})
    await rest.http.post("/__sim/items", json={"entityTypeId": 2, "id": 7, "missing": True})
    assert (await rest("crm.item.get", entityTypeId=2, id=7)).json()["error"] == "NOT_FOUND"
    await rest.http.post("/__sim/items", json={"entityTypeId": 2, "id": 7, "missing": False, "denied": True})
    assert (await rest("crm.item.get", entityTypeId=2, id=7)).json()["error"] == "ACCESS_DENIED"
    await rest.http.post("/__sim/items", json={"entityTypeId": 2, "id": 7, "denied": False})
    assert (await rest("crm.item.get", entityTypeId=2, id=7)).json()["result"]["item"]["title"] == "Big"


async def test_people_can_be_changed_and_hired(rest):
    people = [{"id": 3, "active": False, "absences": [["2026-09-01", "2026-09-02"]]}, {"id": 99}]
    await rest.http.post("/__sim/employees", json=people)
    assert not rest.portal.employees[3].active
    assert rest.portal.employees[3].absences == (("2026-09-01", "2026-09-02"),)
    assert rest.portal.employees[99].active


async def test_a_reset_forgets_everything(rest):
    await rest("crm.item.update", entityTypeId=2, id=7, fields={"assignedById": 3})
    rest.portal.missing.add((2, 1))
    await rest.http.post("/__sim/reset")
    assert (len(rest.portal.ledger), len(rest.portal.items), rest.portal.missing) == (0, 0, set())
    assert rest.portal.bucket.level == 0.0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", b'{"kind": "explosion"}'),
        ("faults", b'{"sort": "html_502"}'),
        ("faults", b"{"),
        ("items", b'{"id": 1}'),
        ("items", b'{"entityTypeId": 2, "id": 1, "lost": true}'),
        ("employees", b'{"id": 1, "lazy": true}'),
    ],
)
async def test_nonsense_is_answered_with_what_is_wrong(rest, path, body):
    answer = await rest.http.post(f"/__sim/{path}", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(path)


async def test_steering_does_not_fill_the_bucket(open_portal):
    rest = open_portal(capacity=1.0)
    for _ in range(3):
        await rest.http.get("/__sim/state")
    assert (await rest("profile")).status_code == 200
    assert rest.portal.ledger.requests == 1


async def test_a_scenario_sets_up_a_portal(rest):
    scenario.apply(
        rest.portal,
        {
            "employees": [{"id": 2, "active": False}],
            "items": [{"entityTypeId": 2, "id": 7, "fields": {"contactIds": [5]}}],
            "faults": [{"kind": "html_502", "method": "profile"}],
            "scopes": ["crm"],
        },
    )
    assert rest.portal.find(2, 7).values["contactId"] == 5
    assert (rest.portal.scopes, rest.portal.employees[2].active) == ({"crm"}, False)
    assert (await rest("profile")).status_code == 502


async def test_a_scenario_with_an_unknown_part_is_refused(rest):
    with pytest.raises(ValueError, match="deals"):
        scenario.apply(rest.portal, {"deals": []})


async def test_the_log_can_be_read_from_a_request_on(rest):
    for _ in range(3):
        await rest("profile")
    log = (await rest.http.get("/__sim/log?after=1")).json()["log"]
    assert [(asked["number"], asked["outcome"]) for asked in log] == [(2, "OK"), (3, "OK")]
    assert (await rest.http.get("/__sim/log?after=x")).status_code == 400


async def test_people_can_be_told_to_meddle(rest):
    meddler = {"method": "crm.item.get", "values": {"assignedById": 5}}
    assert (await rest.http.post("/__sim/meanwhile", json=meddler)).is_success
    await rest("crm.item.get", entityTypeId=2, id=7)
    await rest.http.post("/__sim/by_hand", json={"entityTypeId": 2, "id": 8, "fields": {"assignedById": 6}})
    assert [change.new for change in rest.portal.ledger] == [5, 6]


async def test_somebody_can_subscribe(rest):
    await rest.http.post("/__sim/subscriptions", json={"url": "http://carex.example", "events": ["ONTASK*"]})
    assert [one.events for one in rest.portal.events.subscriptions] == [("ONTASK*",)]


async def test_the_ledger_tells_what_was_created(rest):
    for _ in range(2):
        await rest("crm.item.add", entityTypeId=2, fields={"title": "A"})
    book = (await rest.http.get("/__sim/ledger")).json()
    assert [thing["kind"] for thing in book["created"]] == ["item 2", "item 2"]
    assert [len(ids) for ids in book["created_twice"].values()] == [2]
