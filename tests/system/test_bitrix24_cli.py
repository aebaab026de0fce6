"""`carex deals reconcile` and `carex users sync`, on a simulated portal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from carex.people import Directory

if TYPE_CHECKING:
    from conftest import Installation, SimulatedPortal

FAST = ("--rate", "1000", "--capacity", "1000")


def tell(bitrix: SimulatedPortal, what: str, **body: Any) -> None:
    httpx.post(urljoin(bitrix.webhook, f"/__sim/{what}"), json=body).raise_for_status()


def add_deals(bitrix: SimulatedPortal, deals: range, **fields: Any) -> None:
    for deal in deals:
        tell(bitrix, "items", entityTypeId=2, id=deal, fields={"title": f"Deal {deal}", **fields})


def test_reconcile_puts_exactly_the_deals_that_came_while_nobody_listened(
    installation: Installation, portal: Callable[..., SimulatedPortal], eventually: Callable[..., Any]
) -> None:
    bitrix = portal(*FAST)
    add_deals(bitrix, range(1, 151))
    add_deals(bitrix, range(900, 903), createdTime="2020-01-01T00:00:00+03:00")
    _, address = installation.serve()
    for deal in range(1, 51):
        httpx.post(f"{address}/CarexRandom?deal_id={deal}").raise_for_status()

    seen = installation.ask("deals", "reconcile", "--since", "1h", "--dry-run")
    put = installation.ask("deals", "reconcile", "--since", "1h")
    again = installation.ask("deals", "reconcile", "--since", "1h")

    assert (seen["deals"], seen["put"], put["put"], again["put"]) == (150, [*range(51, 151)], [*range(51, 151)], [])
    installation.worker("--burst").wait(60)
    assert set(bitrix.responsible()) == set(range(1, 151))


def test_a_deal_whose_task_is_gone_but_that_was_given_away_is_not_put_again(
    installation: Installation, portal: Callable[..., SimulatedPortal]
) -> None:
    bitrix = portal(*FAST)
    add_deals(bitrix, range(1, 3))
    installation.ask("deals", "reconcile")
    installation.worker("--burst").wait(60)
    installation.with_queue(lambda queue: queue.prune(0.0))

    assert installation.ask("deals", "reconcile")["put"] == []


def test_deals_that_colleagues_have_taken_meanwhile_stay_theirs(
    installation: Installation, portal: Callable[..., SimulatedPortal]
) -> None:
    bitrix = portal(*FAST)
    later = "2099-01-01T00:00:00+03:00"
    add_deals(bitrix, range(1, 2), assignedById=5, updatedTime=later, updatedBy=5)
    add_deals(bitrix, range(2, 3), assignedById=77, updatedTime=later, updatedBy=5)  # merely edited
    add_deals(bitrix, range(3, 4), assignedById=5)  # as it was made

    told = installation.ask("deals", "reconcile")

    assert (told["put"], told["taken"]) == ([2, 3], [{"deal_id": 1, "user_id": 5}])


def test_reconcile_may_be_told_which_deals(installation: Installation, portal: Callable[..., SimulatedPortal]) -> None:
    bitrix = portal(*FAST)
    add_deals(bitrix, range(1, 3), categoryId=0)
    add_deals(bitrix, range(3, 5), categoryId=3, contactId=77)

    installation.ask("deals", "reconcile", "--only", "categoryId=3", "--contacts")

    assert [entry.task.payload for entry in reversed(installation.entries())] == [
        {"deal_id": 3, "cont_id": [77]},
        {"deal_id": 4, "cont_id": [77]},
    ]


@pytest.mark.parametrize("command", [["deals", "reconcile"], ["users", "sync"]])
def test_a_portal_that_is_away_is_said_to_be_unreachable(installation: Installation, command: list[str]) -> None:
    installation.env["WEBHOOK_CAREX"] = "http://127.0.0.1:9/rest/1/s3cr3tw0rd/"

    ended = installation.run(*command)

    assert ended.returncode == 6
    assert "no connection to http://127.0.0.1:9" in ended.stderr
    assert "s3cr3tw0rd" not in ended.stderr


def test_a_wrong_webhook_is_a_matter_of_settings(
    installation: Installation, portal: Callable[..., SimulatedPortal]
) -> None:
    bitrix = portal(*FAST)
    installation.env["WEBHOOK_CAREX"] = urljoin(bitrix.webhook, "/rest/1/wrong0secret/")

    assert installation.run("users", "sync").returncode == 3


def test_sync_takes_over_who_works_there_and_leaves_exclusions_alone(
    installation: Installation, portal: Callable[..., SimulatedPortal]
) -> None:
    bitrix = portal(*FAST)
    installation.run("users", "exclude", "3", "--reason", "on leave")
    tell(bitrix, "employees", id=5, active=False)
    tell(bitrix, "employees", id=6, time_zone="Asia/Omsk")
    tell(bitrix, "employees", id=40, name="Новая", last_name="Сотрудница")

    would = installation.ask("users", "sync", "--dry-run")
    assert not any(user["id"] == 40 for user in installation.ask("users", "list")["users"])
    did = installation.ask("users", "sync")

    directory = Directory(installation.home / "data" / "people.db")
    known = {user.id: user for user in directory.list()}
    directory.close()
    assert [(each["user_id"], each["what"]) for each in would["changes"]] == [
        (each["user_id"], each["what"]) for each in did["changes"]
    ]
    assert known[40].name == "Новая Сотрудница"
    assert (known[3].excluded, known[3].reason) == (True, "on leave")
    assert (known[5].active, known[6].time_zone) == (False, "Asia/Omsk")
    assert installation.ask("users", "sync")["changes"] == []


def test_sync_names_whom_the_portal_does_not_know_and_leaves_them(
    installation: Installation, portal: Callable[..., SimulatedPortal]
) -> None:
    portal(*FAST)
    installation.run("users", "add", "4711", "Guest")

    assert installation.ask("users", "sync")["unknown"] == [4711]
    assert 4711 in [user["id"] for user in installation.ask("users", "list")["users"]]
