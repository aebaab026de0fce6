import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from carex_bitrix24 import Settings, plugin
from carex_bitrix24.client import Portal

from carex import BpmnError, Context, Fail, Retry, Task, Wait

HOME = "https://portal.example/rest/1/s3cr3tw0rd/"


@dataclass
class Chosen:
    user_id: int = 5
    user_name: str = "Иван {Петров}"
    strategy: str = "random"
    candidates: tuple[int, ...] = (3, 5, 8)
    reused: bool = False


@dataclass
class FakePeople:
    chosen: Chosen = field(default_factory=Chosen)
    available: bool = True
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    async def decide(self, task: Task, entity: str, *, strategy: str = "random", again: bool = False) -> Chosen:
        self.asked.append((entity, strategy, again))
        if not self.available:
            raise Wait("nobody available")
        return self.chosen


@dataclass
class FakePortal:
    """Items by (entityTypeId, id), and who was made responsible."""

    items: dict[tuple[int, int], int]
    deaf: bool = False
    denied: bool = False
    updates: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{HOME}crm.item.update"
        asked = json.loads(request.content)
        key = (asked["entityTypeId"], asked["id"])
        self.updates += 1
        if key not in self.items:
            return httpx.Response(400, json={"error": "NOT_FOUND", "error_description": "Item not found"})
        if self.denied and key[0] == 3:
            return httpx.Response(400, json={"error": "ACCESS_DENIED", "error_description": "No"})
        if not self.deaf:
            self.items[key] = asked["fields"]["assignedById"]
        return httpx.Response(200, json={"result": {"item": {"id": key[1], "assignedById": self.items[key]}}})


def assign(payload: dict[str, Any], portal: FakePortal, people: FakePeople) -> Any:
    async def scenario() -> Any:
        handler = plugin.handlers["bitrix_assign"]
        async with Portal(Settings.model_validate({"webhook": HOME}), transport=httpx.MockTransport(portal)) as client:
            ctx = Context(Task("bitrix_assign", payload), client=client, people=people)  # type: ignore[arg-type]
            return await handler.function(handler.parse(payload), ctx)

    return asyncio.run(scenario())


def test_the_deal_and_its_contacts_get_the_chosen_person() -> None:
    portal = FakePortal({(2, 123): 1, (3, 456): 1, (3, 457): 1})

    result = assign({"deal_id": "123", "cont_id": "456,457"}, portal, FakePeople())

    assert portal.items == {(2, 123): 5, (3, 456): 5, (3, 457): 5}
    assert result == {
        "deal_id": 123,
        "user_id": 5,
        "user_name": "Иван {Петров}",
        "contacts": {"456": "ok", "457": "ok"},
    }


def test_one_line_says_who_got_what(lines: list[str]) -> None:
    assign({"deal_id": 123}, FakePortal({(2, 123): 1}), FakePeople())

    assert [line.strip() for line in lines] == ["INFO deal 123 → 5 Иван {Петров} (random of 3)"]


def test_a_missing_contact_does_not_fail_the_deal() -> None:
    portal = FakePortal({(2, 123): 1, (3, 457): 1})

    result = assign({"deal_id": 123, "cont_id": [456, 457]}, portal, FakePeople())

    assert result["contacts"] == {"456": "not found", "457": "ok"}
    assert portal.items == {(2, 123): 5, (3, 457): 5}


def test_a_contact_that_may_not_be_changed_fails_until_a_person_acts() -> None:
    portal = FakePortal({(2, 123): 1, (3, 456): 1}, denied=True)

    with pytest.raises(Fail, match="right to do this"):
        assign({"deal_id": 123, "cont_id": 456}, portal, FakePeople())


def test_a_missing_deal_is_an_error_for_the_process() -> None:
    with pytest.raises(BpmnError) as missing:
        assign({"deal_id": 123, "cont_id": 456}, FakePortal({(3, 456): 1}), FakePeople())

    assert missing.value.code == "NOT_FOUND"


def test_a_portal_that_ignores_the_change_is_not_believed() -> None:
    with pytest.raises(Retry, match="deal 123: asked for 5 as responsible, but the portal answers 1"):
        assign({"deal_id": 123}, FakePortal({(2, 123): 1}, deaf=True), FakePeople())


def test_nobody_available_means_no_call() -> None:
    portal = FakePortal({(2, 123): 1})

    with pytest.raises(Wait, match="nobody available"):
        assign({"deal_id": 123}, portal, FakePeople(available=False))

    assert portal.updates == 0


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({}, ("deal:123", "random", False)),
        ({"again": True}, ("deal:123", "random", True)),
    ],
)
def test_the_payload_says_how_to_choose(more: dict[str, Any], asked: tuple[str, str, bool]) -> None:
    people = FakePeople()

    assign({"deal_id": 123, **more}, FakePortal({(2, 123): 1}), people)

    assert people.asked == [asked]


def test_a_bad_payload_names_its_field() -> None:
    problems = plugin.handlers["bitrix_assign"].problems({"deal_id": "1e3", "cont_id": "abc"})

    assert [each["field"] for each in problems] == ["deal_id", "cont_id"]


def test_variables_of_a_process_that_are_not_ours_do_no_harm() -> None:
    assert plugin.handlers["bitrix_assign"].problems({"deal_id": 1, "amount": 5}) == []


def test_a_plugin_brings_no_network_library_until_its_client_is_opened() -> None:
    import subprocess
    import sys

    script = "import sys, carex_bitrix24; print({'httpx', 'aiohttp', 'loguru'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert found.stdout.strip() == "set()"
