"""What is agreed with employees, taking them over from the portal, older files, and copies to try things on."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from carex import Employee, Task
from carex.database import connect
from carex.errors import ConfigError, NotFound
from carex.people import Directory, Rules, open_people
from carex.people.rehearsal import copy_people
from carex.people.schema import migrations

NOW = 1_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "people.db"


@pytest.fixture
def directory(file: Path):
    directory = Directory(file, clock=lambda: NOW)
    directory.add(1, "Anna")
    directory.add(2, "Boris")
    yield directory
    directory.close()


def decide(file: Path, entity: str, **options: object) -> int:
    async def run() -> int:
        people = open_people(file, clock=lambda: NOW, **options)  # type: ignore[arg-type]
        try:
            return (await people.decide(Task("assign"), entity)).user_id
        finally:
            await people.close()

    return asyncio.run(run())


def test_what_is_set_is_shown_and_recorded_with_who_did_it(directory):
    assert directory.set(1, {"weight": 2.0, "daily_cap": 5}) == "weight 1.0 → 2.0; daily_cap none → 5"
    user, entry = directory.get(1), directory.history(1)[-1]
    assert (user.weight, user.daily_cap) == (2.0, 5)
    assert (entry.what, entry.detail, entry.at) == ("set", "weight 1.0 → 2.0; daily_cap none → 5", NOW)
    assert entry.actor


def test_setting_what_is_so_already_records_nothing(directory):
    directory.set(1, {"weight": 2.0})
    before = directory.history()
    assert directory.set(1, {"weight": 2.0}) == ""
    assert directory.history() == before


def test_nothing_can_be_set_for_a_stranger(directory):
    with pytest.raises(NotFound):
        directory.set(9, {"weight": 2.0})


def test_a_standing_says_why_somebody_cannot_be_given_work(directory):
    directory.set(1, {"paused_until": NOW + 60})
    directory.set(2, {"daily_cap": 0})
    assert [why and why.split()[0] for _, why in directory.standings(Rules())] == ["paused", "daily_cap"]


ANNA = Employee(1, "Anna B.", departments=("Sales", "7"), time_zone="Asia/Omsk")
BORIS = Employee(2, "Boris", active=False)
CLARA = Employee(3, "Clara")


def test_the_portal_says_who_is_active_and_where_they_work(directory):
    changes = directory.sync([ANNA, BORIS, CLARA])
    anna, boris, clara = directory.list()
    assert (anna.name, anna.departments, anna.time_zone) == ("Anna B.", ("Sales", "7"), "Asia/Omsk")
    assert (boris.active, clara.active) == (False, True)
    assert [(entry.what, entry.user_id) for entry in changes] == [("renamed", 1), ("set", 1), ("set", 2), ("added", 3)]


def test_exclusions_and_time_zones_that_were_set_here_survive(directory):
    directory.exclude(1, reason="ill")
    directory.set(1, {"time_zone": "Europe/Moscow", "weight": 3.0})
    directory.sync([ANNA])
    user = directory.get(1)
    assert (user.excluded, user.reason, user.time_zone, user.weight) == (True, "ill", "Europe/Moscow", 3.0)


def test_who_left_before_is_not_added_and_an_odd_name_stops_nobody(directory):
    directory.sync([Employee(7, "Gone", active=False), Employee(8, "Eve\x1b[2J"), Employee(9, "\n")])
    assert [(user.id, user.name) for user in directory.list()][2:] == [(8, "Eve[2J"), (9, "user 9")]


def test_taking_over_again_changes_nothing(directory):
    directory.sync([ANNA, BORIS])
    assert list(directory.sync([ANNA, BORIS])) == []


def test_a_dry_run_tells_the_changes_and_makes_none(directory):
    before = directory.list()
    assert len(directory.sync([ANNA, CLARA], dry_run=True)) == 3
    assert directory.list() == before


@pytest.fixture
def old_file(file: Path) -> Path:
    """A file of the first schema, with an employee and a decision."""
    connection = connect(file, migrations()[:1])
    connection.execute("INSERT INTO users (id, name, added) VALUES (1, 'Anna', 1)")
    connection.execute(
        "INSERT INTO decisions (task_id, entity, round, user_id, user_name, strategy, draw, candidates, skipped,"
        " decided_at, again) VALUES ('t', 'deal:1', 1, 1, 'Anna', 'random', 5, '[1, 2]', '{}', 999999, 0)"
    )
    connection.close()
    return file


def test_a_file_from_before_weights_is_taken_on(old_file):
    directory = Directory(old_file, clock=lambda: NOW)
    user = directory.get(1)
    directory.close()
    assert (user.weight, user.active, user.assignments, user.daily_cap) == (1.0, True, 1, None)
    assert decide(old_file, "deal:1") == 1  # the old decision holds


def test_an_old_decision_can_be_made_again_too(old_file):
    from carex.people.strategies import choose

    async def run() -> None:
        people = open_people(old_file)
        (kept,) = await people.decisions()
        assert (kept.chosen_by, choose(kept.strategy, kept.inputs).user_id) == ("random", 1)
        await people.close()

    asyncio.run(run())


def test_a_file_of_a_newer_carex_is_refused(file):
    connect(file, [*migrations(), "CREATE TABLE later (x);"]).close()
    with pytest.raises(ConfigError, match="newer Carex"):
        Directory(file)


@dataclass(frozen=True)
class Bytes:
    folder: Path

    def __call__(self) -> dict[str, str]:
        return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in self.folder.iterdir()}


def test_deciding_on_a_copy_leaves_every_byte_as_it_was(directory, file, tmp_path):
    directory.close()
    state = Bytes(file.parent)
    before = state()
    copy_people(file, tmp_path / "copy.db")
    decide(tmp_path / "copy.db", "deal:1", rules=Rules(strategy="round_robin"))
    assert state() == before


def test_a_copy_has_what_others_have_just_written(directory, file, tmp_path):
    directory.exclude(1)  # in the write-ahead log, for the directory is still open
    copy_people(file, tmp_path / "copy.db")
    assert decide(tmp_path / "copy.db", "deal:1") == 2


def test_a_fresh_copy_knows_the_people_and_no_decisions(directory, file, tmp_path):
    decide(file, "deal:1")
    copy_people(file, tmp_path / "copy.db", fresh=True)
    copy = Directory(tmp_path / "copy.db")
    assert [user.assignments for user in copy.list()] == [0, 0]
    copy.close()


def test_there_need_be_no_file_to_copy(tmp_path):
    copy_people(tmp_path / "none.db", tmp_path / "copy.db")
    assert not (tmp_path / "none.db").exists()
