import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from carex_bitrix24 import Settings, plugin
from carex_bitrix24.client import Portal as Client
from carex_bitrix24.simulator import Fault, Portal

from carex import BpmnError, Context, Fail, Retry, Task, Wait

LEAD, DEAL, CONTACT, COMPANY = 1, 2, 3, 4
HUMAN = 8


@dataclass
class Chosen:
    user_id: int = 5
    user_name: str = "Иван {Петров}"
    strategy: str = "random"
    candidates: tuple[int, ...] = (3, 5, 8)
    reused: bool = False


@dataclass(frozen=True)
class Colleague:
    id: int


@dataclass
class FakePeople:
    chosen: Chosen = field(default_factory=Chosen)
    available: bool = True
    asked: list[tuple[str, str, bool]] = field(default_factory=list)
    earlier: list[Chosen] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    ids: tuple[int, ...] = (3, 5, HUMAN)

    async def users(self) -> list[Colleague]:
        return [Colleague(id) for id in self.ids]

    async def anybody(self, task: Task, entity: str, *, again: bool = False) -> None:
        if not self.available:
            raise Wait("nobody available")

    async def decide(
        self, task: Task, entity: str, *, strategy: str = "random", again: bool = False, facts: Any = None
    ) -> Chosen:
        self.asked.append((entity, strategy, again))
        if not self.available:
            raise Wait("nobody available")
        return self.chosen

    async def told(self, decision: Chosen, reply: str) -> None:
        self.replies.append(reply)

    async def decisions(self, *, entity: str | None = None, task_id: str | None = None) -> list[Chosen]:
        return self.earlier


def portal_with(*items: tuple[int, int], **options: Any) -> Portal:
    portal = Portal(latency=0.0, auto_create=False, rate=1000.0, **options)
    for type, id in items:
        portal.add_item(type, id)
    return portal


def assign(payload: dict[str, Any], portal: Portal, people: FakePeople | None = None, **settings: Any) -> Any:
    """Run the handler as a worker would; the task is as old as the portal."""
    given = Settings.model_validate({"webhook": f"http://portal/rest/1/{portal.secret}/", **settings})

    async def scenario() -> Any:
        handler = plugin.handlers["bitrix_assign"]
        async with Client(given, transport=httpx.ASGITransport(portal.asgi())) as client:
            task = Task("bitrix_assign", payload, created=portal.unix(0.0))
            ctx = Context(task, client=client, people=people or FakePeople(), settings=given)  # type: ignore[arg-type]
            return await handler.function(handler.parse(payload), ctx)

    return asyncio.run(scenario())


def test_the_deal_and_its_contacts_get_the_chosen_person() -> None:
    portal = portal_with((DEAL, 123), (CONTACT, 456), (CONTACT, 457))

    result = assign({"deal_id": "123", "cont_id": "456,457"}, portal)

    assert [portal.responsible(*item) for item in ((DEAL, 123), (CONTACT, 456), (CONTACT, 457))] == [5, 5, 5]
    assert result == {
        "deal_id": 123,
        "user_id": 5,
        "user_name": "Иван {Петров}",
        "outcome": "assigned",
        "contacts": {"456": "ok", "457": "ok"},
    }


def test_the_deal_and_its_contact_cost_one_request_after_the_look() -> None:
    portal = portal_with((DEAL, 123), (CONTACT, 456))

    assign({"deal_id": 123, "cont_id": 456}, portal)

    assert portal.ledger.requests == 2


@pytest.mark.parametrize(("name", "type"), [("lead", LEAD), ("contact", CONTACT), ("company", COMPANY)])
def test_other_items_are_given_away_too(name: str, type: int) -> None:
    portal = portal_with((type, 9))

    result = assign({f"{name}_id": 9}, portal)

    assert portal.responsible(type, 9) == 5
    assert result[f"{name}_id"] == 9


@pytest.mark.parametrize(("contacts", "responsible"), [("given", 1), ("all", 5), ("none", 1)])
def test_the_deals_own_contacts_go_with_it_if_that_is_set(contacts: str, responsible: int) -> None:
    portal = portal_with((CONTACT, 7))
    portal.add_item(DEAL, 123, contactIds=[7])

    assign({"deal_id": 123}, portal, contacts=contacts)

    assert portal.responsible(CONTACT, 7) == responsible


def test_no_contact_goes_with_a_deal_if_that_is_set() -> None:
    portal = portal_with((DEAL, 123), (CONTACT, 7))

    assign({"deal_id": 123, "cont_id": 7}, portal, contacts="none")

    assert portal.responsible(CONTACT, 7) == 1


def test_one_line_says_who_got_what(lines: list[str]) -> None:
    assign({"deal_id": 123}, portal_with((DEAL, 123)))

    assert [line.strip() for line in lines] == ["INFO deal 123 → 5 Иван {Петров} (random of 3)"]


def test_a_missing_contact_does_not_fail_the_deal() -> None:
    portal = portal_with((DEAL, 123), (CONTACT, 457))

    result = assign({"deal_id": 123, "cont_id": [456, 457]}, portal)

    assert result["contacts"] == {"456": "not found", "457": "ok"}
    assert portal.responsible(DEAL, 123) == portal.responsible(CONTACT, 457) == 5


def test_a_contact_that_may_not_be_changed_fails_until_a_person_acts() -> None:
    portal = portal_with((DEAL, 123), (CONTACT, 456))
    portal.denied.add((CONTACT, 456))

    with pytest.raises(Fail, match="right to do this"):
        assign({"deal_id": 123, "cont_id": 456}, portal)


@pytest.mark.parametrize("if_changed", ["keep", "force"])
def test_a_missing_deal_is_an_error_for_the_process_and_its_contact_is_left_alone(if_changed: str) -> None:
    portal = portal_with((CONTACT, 456))

    with pytest.raises(BpmnError) as missing:
        assign({"deal_id": 123, "cont_id": 456}, portal, if_changed=if_changed)

    assert missing.value.code == "NOT_FOUND"
    assert portal.responsible(CONTACT, 456) == 1


def test_a_portal_that_ignores_the_change_is_not_believed() -> None:
    portal = portal_with((DEAL, 123))
    portal.methods["crm.item.update"] = portal.methods["crm.item.get"]

    with pytest.raises(Retry, match="deal 123: asked for 5 as responsible, but the portal answers 1"):
        assign({"deal_id": 123}, portal)


def test_nobody_available_changes_nothing() -> None:
    portal = portal_with((DEAL, 123))

    with pytest.raises(Wait, match="nobody available"):
        assign({"deal_id": 123}, portal, FakePeople(available=False))

    assert portal.responsible(DEAL, 123) == 1


def test_a_deal_that_waits_for_people_is_read_once_and_not_at_every_attempt() -> None:
    portal = portal_with((DEAL, 123))
    given = Settings.model_validate({"webhook": f"http://portal/rest/1/{portal.secret}/"})

    async def scenario() -> None:
        handler, task = plugin.handlers["bitrix_assign"], Task("bitrix_assign")
        async with Client(given, transport=httpx.ASGITransport(portal.asgi())) as client:
            ctx = Context(task, client=client, people=FakePeople(available=False), settings=given)  # type: ignore[arg-type]
            for _ in range(5):
                with pytest.raises(Wait, match="nobody available"):
                    await handler.function(handler.parse({"deal_id": 123}), ctx)

    asyncio.run(scenario())
    assert portal.ledger.requests == 1


# ------------------------------------------------------------------ a person was faster


def by_hand(portal: Portal) -> None:
    """Somebody gives the deal away in the browser, after the task has come."""
    changed = {"assignedById": HUMAN, "updatedBy": HUMAN, "updatedTime": portal.iso(portal.now() + 60)}
    portal.find(DEAL, 123).values.update(changed)  # type: ignore[union-attr]


def test_whom_a_person_has_chosen_meanwhile_keeps_the_deal() -> None:
    portal, people = portal_with((DEAL, 123), (CONTACT, 456)), FakePeople()
    by_hand(portal)

    result = assign({"deal_id": 123, "cont_id": 456}, portal, people)

    assert result == {"deal_id": 123, "user_id": HUMAN, "outcome": "superseded", "contacts": {}}
    assert (portal.responsible(DEAL, 123), portal.responsible(CONTACT, 456)) == (HUMAN, 1)
    assert people.asked == []


@pytest.mark.parametrize(
    ("payload", "settings", "earlier"),
    [
        ({}, {"if_changed": "force"}, []),
        ({}, {"holders": [HUMAN]}, []),
        ({"was": HUMAN}, {}, []),
        ({"again": True}, {}, []),
        ({}, {}, [Chosen(user_id=HUMAN)]),
    ],
    ids=["force", "a holder", "had it before", "drawn anew", "our own earlier choice"],
)
def test_but_not_always(payload: dict[str, Any], settings: dict[str, Any], earlier: list[Chosen]) -> None:
    portal = portal_with((DEAL, 123))
    by_hand(portal)

    assign({"deal_id": 123, **payload}, portal, FakePeople(earlier=earlier), **settings)

    assert portal.responsible(DEAL, 123) == 5


def test_a_change_by_the_webhooks_owner_is_no_persons_choice() -> None:
    """As automation rules make it, and other integrations."""
    portal = portal_with((DEAL, 123))
    by_hand(portal)
    portal.find(DEAL, 123).values.update(updatedBy=1)  # type: ignore[union-attr]

    assert assign({"deal_id": 123}, portal)["outcome"] == "assigned"


@pytest.mark.parametrize(("people", "outcome"), [((5, HUMAN), "superseded"), ((5,), "assigned")])
@pytest.mark.parametrize("silent", [(), ("updatedTime", "updatedBy")], ids=["when it changed", "nothing of changes"])
def test_only_colleagues_can_have_been_faster(people: tuple[int, ...], outcome: str, silent: tuple[str, ...]) -> None:
    """A portal's default holder, and a deal that somebody merely edits, are no choice."""
    portal = portal_with((DEAL, 123))
    by_hand(portal)
    for name in silent:
        del portal.find(DEAL, 123).values[name]  # type: ignore[union-attr]

    assert assign({"deal_id": 123}, portal, FakePeople(ids=people))["outcome"] == outcome


def test_who_had_the_deal_before_the_task_came_has_not_been_faster() -> None:
    portal = portal_with()
    portal.add_item(DEAL, 123, assignedById=HUMAN, updatedTime=portal.iso(-60.0))

    assign({"deal_id": 123}, portal)

    assert portal.responsible(DEAL, 123) == 5


def test_who_got_the_deal_between_two_attempts_keeps_it() -> None:
    """However little the item says about changes."""
    portal = portal_with()
    portal.add_item(DEAL, 123, assignedById=2, updatedTime=portal.iso(-60.0))
    portal.faults.add(Fault("html_502", "crm.item.update", count=1))
    given = Settings.model_validate({"webhook": f"http://portal/rest/1/{portal.secret}/"})

    async def scenario() -> Any:
        handler, task = plugin.handlers["bitrix_assign"], Task("bitrix_assign", created=portal.unix(0.0))
        async with Client(given, transport=httpx.ASGITransport(portal.asgi())) as client:
            ctx = Context(task, client=client, people=FakePeople(earlier=[Chosen()]), settings=given)  # type: ignore[arg-type]
            with pytest.raises(Wait):
                await handler.function(handler.parse({"deal_id": 123}), ctx)
            portal.find(DEAL, 123).values.update(assignedById=HUMAN)  # type: ignore[union-attr]
            return await handler.function(handler.parse({"deal_id": 123}), ctx)

    assert asyncio.run(scenario())["outcome"] == "superseded"
    assert portal.responsible(DEAL, 123) == HUMAN


def test_the_robot_knows_best_who_had_it() -> None:
    portal = portal_with()
    portal.add_item(DEAL, 123, assignedById=HUMAN, updatedTime=portal.iso(-60.0))

    assert assign({"deal_id": 123, "was": 2}, portal)["outcome"] == "superseded"


def test_a_deal_that_has_its_person_already_is_theirs() -> None:
    portal = portal_with()
    portal.add_item(DEAL, 123, assignedById=5)

    assert assign({"deal_id": 123}, portal, FakePeople(earlier=[Chosen()]))["outcome"] == "assigned"


# ------------------------------------------------------------------ telling people


def test_the_new_person_is_told_if_that_is_wanted() -> None:
    portal = portal_with((DEAL, 123))

    assign({"deal_id": 123}, portal, notify=True, comment=True)

    assert [note.user_id for note in portal.notifications.values()] == [5]
    assert [each.text.partition("\n")[0] for each in portal.comments] == ["Carex has given this to Иван {Петров}."]


def test_the_deal_is_given_although_nobody_can_be_told(lines: list[str]) -> None:
    portal = portal_with((DEAL, 123))
    portal.scopes.discard("im")

    result = assign({"deal_id": 123}, portal, notify=True)

    assert result["outcome"] == "assigned"
    assert any("im.notify.system.add" in line and line.startswith("WARNING") for line in lines)


# ------------------------------------------------------------------ the payload


@pytest.mark.parametrize(
    ("payload", "asked"),
    [
        ({"deal_id": 123}, ("deal:123", "random", False)),
        ({"deal_id": 123, "again": True}, ("deal:123", "random", True)),
        ({"lead_id": 123}, ("lead:123", "random", False)),
    ],
)
def test_the_payload_says_how_to_choose(payload: dict[str, Any], asked: tuple[str, str, bool]) -> None:
    people: Any = FakePeople()

    assign(payload, portal_with((DEAL, 123), (LEAD, 123)), people)

    assert people.asked == [asked]


def test_a_bad_payload_names_its_field() -> None:
    problems = plugin.handlers["bitrix_assign"].problems({"deal_id": "1e3", "cont_id": "abc"})

    assert [each["field"] for each in problems] == ["deal_id", "cont_id"]


@pytest.mark.parametrize("payload", [{}, {"deal_id": 1, "lead_id": 2}])
def test_exactly_one_item_is_to_be_named(payload: dict[str, int]) -> None:
    (problem,) = plugin.handlers["bitrix_assign"].problems(payload)

    assert "name one of deal_id, lead_id, contact_id and company_id" in problem["message"]


def test_variables_of_a_process_that_are_not_ours_do_no_harm() -> None:
    assert plugin.handlers["bitrix_assign"].problems({"deal_id": 1, "amount": 5}) == []


def test_a_plugin_brings_no_network_library_until_its_client_is_opened() -> None:
    import subprocess
    import sys

    script = "import sys, carex_bitrix24; print({'httpx', 'aiohttp', 'loguru'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert found.stdout.strip() == "set()"
