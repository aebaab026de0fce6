"""`carex deals explain|assign|simulate|report`, as a sales lead sees them, beside a real worker and portal."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from carex.people import Directory
from carex.task import Task

if TYPE_CHECKING:
    from conftest import Installation, SimulatedPortal

RULES = """
[people]
strategy = "round_robin"
time_zone = "Europe/Moscow"
sources = ["absence"]

[[people.pools]]
name = "big"
when = { amount = ">=100000" }
members = [5, 7]
strategy = "sticky, weighted"
"""


@pytest.fixture
def house(installation: Installation, portal: Callable[..., SimulatedPortal], tmp_path: Path) -> Installation:
    """Eight employees, of whom 2 is absent; deal 101 is big and its contact belongs to 7."""
    scenario = {
        "employees": [{"id": 2, "absences": [["2020-01-01", "2099-01-31"]]}],
        "items": [
            {"entityTypeId": 2, "id": 101, "fields": {"opportunity": 200000, "contactId": 9}},
            {"entityTypeId": 3, "id": 9, "fields": {"assignedById": 7}},
        ],
    }
    (tmp_path / "scenario.json").write_text(json.dumps(scenario))
    (tmp_path / "carex.toml").write_text(RULES)
    portal("--scenario", str(tmp_path / "scenario.json"), "--rate", "1000", "--capacity", "1000", "--latency", "0.1")
    return installation


def give(house: Installation, *deals: int) -> None:
    """Have these deals given, one after the other."""
    house.put(*(Task("bitrix_assign", {"deal_id": deal}) for deal in deals))
    assert house.run("worker", "--burst", "--concurrency", "1").returncode == 0


def set_all(house: Installation, **terms: Any) -> None:
    directory = Directory(house.home / "data" / "people.db")
    for user in directory.list():
        directory.set(user.id, terms)
    directory.close()


def databases(home: Path) -> dict[str, str]:
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in (home / "data").iterdir() if each.is_file()
    }


def test_a_deal_is_given_by_its_pool_and_everything_about_it_is_explained(house: Installation) -> None:
    give(house, 101)
    said = house.run("deals", "explain", "101").stdout
    assert "deal:101 → 7 " in said
    assert "pool 'big'" in said
    assert "sticky, weighted, of which sticky: owns the contact or company" in said
    assert "amount = 200000, owners = [7]" in said
    assert "Recomputed from what was stored: the same person; next in line was 5" in said
    assert "could not  2 " in said
    assert "deal 101 and 0 contacts are theirs" in said
    assert "attempt 1: Done" in said


def test_the_explanation_for_programs_has_all_of_it(house: Installation) -> None:
    give(house, 1)
    (decision,) = house.ask("deals", "explain", "1")["decisions"]
    assert decision["skipped"] == {"2": "absent until 2099-01-31"}
    assert decision["user_id"] == decision["recomputed_user_id"] == 1
    assert (decision["next_user_id"], decision["inputs"]["sources"]) == (3, {"absence": "ok"})


def test_a_deal_that_never_came_is_not_found(house: Installation) -> None:
    ended = house.run("deals", "explain", "4711")
    assert (ended.returncode, "never came here" in ended.stderr) == (4, True)


def test_a_dry_run_says_who_it_would_be_changes_no_byte_and_is_right(house: Installation) -> None:
    give(house, 1)
    before = databases(house.home)
    foretold = house.ask("deals", "assign", "2", "--dry-run")["decision"]
    assert databases(house.home) == before
    give(house, 2)
    assert house.ask("deals", "explain", "2")["decisions"][0]["user_id"] == foretold["user_id"] == 3


def test_a_dry_run_with_nobody_there_says_why_it_would_wait(house: Installation) -> None:
    set_all(house, daily_cap=0)
    assert (
        "would wait: nobody available: 7 daily_cap, 1 absent" in house.run("deals", "assign", "1", "--dry-run").stdout
    )


def test_a_dry_run_notices_that_there_is_no_such_deal(
    installation: Installation, portal: Callable[..., SimulatedPortal]
) -> None:
    portal("--no-auto-create")
    ended = installation.run("deals", "assign", "4711", "--dry-run")
    assert (ended.returncode, "The portal has no deal 4711" in ended.stderr) == (4, True)


def test_a_dry_run_and_the_explanation_say_that_a_person_was_faster(house: Installation, tmp_path: Path) -> None:
    house.put(Task("bitrix_assign", {"deal_id": 101, "was": 3}))
    foretold = house.run("deals", "assign", "101", "--dry-run").stdout
    house.run("worker", "--burst")
    told = house.run("deals", "explain", "101").stdout
    assert foretold.startswith("deal:101 stays with 1 ")
    assert told.startswith("deal:101 stays with 1 ")


def test_a_simulation_names_who_gets_what_and_asks_the_portal_only_about_now(house: Installation) -> None:
    file = house.home / "deals.csv"
    file.write_text("id,created,amuont\n1,2026-11-20 12:00,1\n")
    said = house.run("deals", "simulate", str(file))
    assert "1     2026-11-20 12:00  1 " in said.stdout
    assert "NOT asked: absence" in said.stderr
    assert "No rule asks for these columns: amuont" in said.stderr


@pytest.mark.parametrize("strategy", ["random", "weighted"])
def test_a_simulation_gives_the_people_of_the_real_run(house: Installation, strategy: str) -> None:
    house.env["CAREX_PEOPLE__STRATEGY"] = strategy
    house.run("users", "set", "4", "weight=3")
    deals = range(10, 30)
    file = house.home / "deals.csv"
    file.write_text("id,amount\n" + "".join(f"{deal},0\n" for deal in deals))
    before = databases(house.home)
    foretold = house.ask("deals", "simulate", str(file))
    assert databases(house.home) == before
    give(house, *deals)
    real = {each.entity: each.user_id for each in house.decisions()}
    assert {f"deal:{each['deal_id']}": each["user_id"] for each in foretold["assignments"]} == real


def test_a_simulation_over_a_week_shows_who_waits_and_until_when(house: Installation) -> None:
    house.env["CAREX_PEOPLE__SCHEDULE"] = "mon-fri 09:00-18:00"
    file = house.home / "deals.csv"
    file.write_text("id,created,amount\n1,2026-11-20 12:00+03:00,1\n2,2026-11-21 12:00+03:00,1\n")  # Friday, Saturday
    said = house.run("deals", "simulate", str(file), "--without-portal")
    assert "1 deals would have waited for somebody: nobody available: 8 off_shift; the next shift" in said.stdout
    assert "it was NOT asked" not in said.stderr
    found = house.ask("deals", "simulate", str(file), "--without-portal")
    assert [each["deal_id"] for each in found["assignments"]] == ["1", "2"]
    monday = 1_795_413_600.0  # 2026-11-23 09:00 in Moscow
    assert 0 <= found["assignments"][1]["at"] - monday <= 300
    assert (found["held"], "as with --fresh" in said.stderr) == ({}, True)


def test_the_report_compares_shares_and_draws_them(house: Installation) -> None:
    give(house, *range(1, 8))
    picture = house.home / "shares.svg"
    report = house.run("deals", "report", "--picture", str(picture))
    found = house.ask("deals", "report")
    assert {line["user_id"]: line["given"] for line in found["people"]} == dict.fromkeys((1, 3, 4, 5, 6, 7, 8), 1)
    assert (found["given"], found["p"]) == (7, None)
    assert "too few for a verdict" in report.stdout
    titles = [each.text or "" for each in ElementTree.parse(picture).iter() if each.tag.endswith("title")]
    assert len(titles) == 8
    assert "1 deals, 14.3%, expected 14.3%" in titles[1]


def test_who_comes_on_gets_what_was_held_within_a_minute(house: Installation, eventually: Callable[..., Any]) -> None:
    house.env["CAREX_PEOPLE__RETRY_DELAY"] = "3"
    set_all(house, paused_until=time.time() + 86400)
    house.worker()
    house.run("deals", "assign", "1")
    held = eventually(lambda: [entry for entry in house.entries("waiting") if entry.reason])
    assert held[0].reason == "nobody available: 8 paused"
    house.run("users", "set", "6", "paused=no")
    eventually(lambda: house.entries("done"), seconds=30)
    assert house.ask("deals", "explain", "1")["decisions"][0]["user_id"] == 6


def test_turns_are_kept_by_many_workers_of_which_some_are_killed(
    house: Installation, eventually: Callable[..., Any]
) -> None:
    workers = [house.worker("--concurrency", "10") for _ in range(4)]
    house.put(*(Task("bitrix_assign", {"deal_id": deal}) for deal in range(1000, 1400)))
    eventually(lambda: len(house.entries("done")) > 20, what="the first deals")
    for worker in workers[:2]:
        worker.send_signal(signal.SIGKILL)
    assert len(house.entries("done")) < 400, "the workers were killed too late to matter"
    eventually(lambda: len(house.entries("done")) == 400, seconds=60, what="the last deal")
    people = house.ask("deals", "report")["people"]
    given = Counter({line["user_id"]: line["given"] for line in people})
    assert (sum(given.values()), given[2]) == (400, 0)
    assert max(given.values()) - min(count for id, count in given.items() if id != 2) <= 1


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[people]\nstrategy = "fairest"', "'fairest' is not a strategy"),
        ('[people]\nsources = ["moon"]', "no plugin here offers 'moon'"),
        ('[people]\nschedule = "9-18"', "people: The schedule '9-18' cannot be read"),
        ('[people]\ntime_zone = "Mars"', "people: 'Mars' is not a time zone"),
        ('[people]\nholidays = "gone.txt"', "gone.txt cannot be read"),
        ('[[people.pools]]\nname = "a"\n[[people.pools]]\nname = "a"', "two pools have the name 'a'"),
        ('[[people.pools]]\nname = "a"\nwehn = {}', "people.pools.0.wehn"),
        ('[[people.pools]]\nname = "a"\nwhen = { amount = ">=100 000" }', "without spaces"),
        ("[people]\n[people]", "The file has this table already"),
    ],
)
def test_a_mistake_in_the_rules_is_named(installation: Installation, toml: str, message: str) -> None:
    (installation.home / "carex.toml").write_text(toml)
    checked = installation.run("config", "check")
    assert (checked.returncode, "Traceback" in checked.stderr) == (3, False)
    assert message in checked.stderr
