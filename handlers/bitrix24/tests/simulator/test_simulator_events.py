"""What the portal posts to others, and how often."""

from urllib.parse import parse_qsl

import httpx
import pytest
from carex_bitrix24.simulator.events import Events, Subscription, crm_event

pytestmark = pytest.mark.anyio


class Receiver(httpx.AsyncBaseTransport):
    """Somebody who listens, and answers as told."""

    def __init__(self, status=200):
        self.status = status
        self.got = []

    async def handle_async_request(self, request):
        if self.status is None:
            raise httpx.ConnectError("nobody there", request=request)
        self.got.append((str(request.url), dict(parse_qsl((await request.aread()).decode(), keep_blank_values=True))))
        return httpx.Response(self.status)


@pytest.fixture
def receiver():
    return Receiver()


async def test_a_new_deal_is_told_with_its_id_and_the_token(rest, receiver, clock):
    clock.seconds = 5.0
    rest.portal.subscribe("http://carex.example/events", events=("ONCRMDEALADD",), token="t0ken", handler_id=12)
    await rest("crm.item.add", entityTypeId=2, fields={"title": "A"})
    assert await rest.portal.events.deliver(receiver) == [200]
    url, form = receiver.got[0]
    assert (url, form["event"], form["event_handler_id"]) == ("http://carex.example/events", "ONCRMDEALADD", "12")
    assert (form["data[FIELDS][ID]"], form["auth[application_token]"]) == ("10000001", "t0ken")
    assert form["ts"] == str(int(rest.portal.unix(5.0)))
    assert form["auth[member_id]"]


@pytest.mark.parametrize(
    ("type_id", "name"),
    [
        (1, "ONCRMLEADUPDATE"),
        (2, "ONCRMDEALUPDATE"),
        (3, "ONCRMCONTACTUPDATE"),
        (4, "ONCRMCOMPANYUPDATE"),
        (130, "ONCRMDYNAMICITEMUPDATE"),
    ],
)
async def test_each_type_has_its_events(rest, receiver, type_id, name):
    rest.portal.subscribe("http://carex.example", events=("*",))
    await rest("crm.item.update", entityTypeId=type_id, id=7, fields={"assignedById": 3})
    await rest.portal.events.deliver(receiver)
    assert [form["event"] for _, form in receiver.got] == [name]
    assert receiver.got[0][1].get("data[FIELDS][ENTITY_TYPE_ID]") == ("130" if type_id == 130 else None)


async def test_an_update_that_changes_nothing_is_not_told(rest, receiver):
    rest.portal.subscribe("http://carex.example", events=("*",))
    await rest("crm.item.update", entityTypeId=2, id=7, fields={"assignedById": 1})
    assert await rest.portal.events.deliver(receiver) == []


async def test_only_events_asked_for_are_told(rest, receiver):
    rest.portal.subscribe("http://carex.example")
    rest.portal.add_item(2, 7)
    rest.portal.by_hand(2, 7, assignedById=3)
    await rest.portal.events.deliver(receiver)
    assert [form["event"] for _, form in receiver.got] == ["ONCRMDEALADD"]


async def test_a_task_is_told_in_a_shape_of_its_own(rest, receiver):
    rest.portal.subscribe("http://carex.example", events=("ONTASK*",))
    await rest("tasks.task.add", fields={"TITLE": "A", "RESPONSIBLE_ID": 3})
    await rest("tasks.task.complete", taskId=1)
    await rest.portal.events.deliver(receiver)
    told = sorted((form["event"], form["data[FIELDS_AFTER][ID]"]) for _, form in receiver.got)
    assert told == [("ONTASKADD", "1"), ("ONTASKUPDATE", "1")]


@pytest.mark.parametrize("status", [200, 500, None])
async def test_nothing_is_posted_twice_whatever_the_answer(rest, status):
    receiver = Receiver(status)
    rest.portal.subscribe("http://carex.example")
    rest.portal.add_item(2, 7)
    assert await rest.portal.events.deliver(receiver) == [status]
    assert await rest.portal.events.deliver(receiver) == []
    assert rest.portal.events.posted == {("ONCRMDEALADD", "lost" if status is None else str(status)): 1}


async def test_duplicates_come_on_demand(rest, receiver):
    rest.portal.subscribe("http://carex.example", copies=3)
    rest.portal.add_item(2, 7)
    assert await rest.portal.events.deliver(receiver) == [200, 200, 200]


async def test_without_a_token_none_is_sent(rest, receiver):
    rest.portal.subscribe("http://carex.example", token="")
    rest.portal.add_item(2, 7)
    await rest.portal.events.deliver(receiver)
    assert "auth[application_token]" not in receiver.got[0][1]


async def test_a_robot_posts_its_own_form_and_fills_in_the_id(rest, receiver):
    rest.portal.subscribe("http://carex.example/CarexRandom?deal_id={{ID}}", robot=True)
    rest.portal.add_item(2, 7)
    await rest.portal.events.deliver(receiver)
    url, form = receiver.got[0]
    assert url.endswith("?deal_id=7")
    assert (form["document_id[2]"], "event" in form, "auth[application_token]" in form) == ("DEAL_7", False, False)


async def test_a_burst_is_posted_at_once(rest, receiver):
    rest.portal.subscribe("http://carex.example")
    for _ in range(250):
        rest.portal.add_item(2)
    assert await rest.portal.events.deliver(receiver) == [200] * 250


async def test_who_answers_slowly_is_called_less_often(clock):
    pauses = []

    class Slow(Receiver):
        async def handle_async_request(self, request):
            clock.seconds += 3.0
            return await super().handle_async_request(request)

    async def pause(seconds):
        pauses.append(seconds)

    events = Events(0.0, clock, pause)
    events.subscriptions.append(Subscription("http://carex.example"))
    for number in (1, 2):
        events.tell(crm_event(2, number, "ADD", 0.0))
        await events.deliver(Slow())
    assert pauses == [3.0]
