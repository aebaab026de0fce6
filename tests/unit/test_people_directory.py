import asyncio
from pathlib import Path

import pytest

from carex import Task
from carex.database import read
from carex.errors import NotFound, PartlyFailed, UsageError
from carex.people import Directory, open_people

NOW = 1_000_000.0


@pytest.fixture
def directory(tmp_path: Path):
    directory = Directory(tmp_path / "people.db", clock=lambda: NOW)
    yield directory
    directory.close()


def audit(file: Path) -> list[tuple[str, int, str]]:
    rows = read(file, lambda connection: connection.execute("SELECT * FROM audit ORDER BY id").fetchall())
    assert all(row["actor"] and row["at"] == NOW for row in rows)
    return [(row["what"], row["user_id"], row["detail"]) for row in rows]


def test_the_directory_is_empty_at_first(directory):
    assert list(directory.list()) == []


def test_employees_are_listed_by_id(directory):
    directory.add(20, "Anna")
    directory.add(3, "  Boris \t B. ")
    assert [(user.id, user.name, user.excluded, user.added) for user in directory.list()] == [
        (3, "Boris B.", False, NOW),
        (20, "Anna", False, NOW),
    ]


def test_adding_somebody_again_renames_and_keeps_the_exclusion(directory):
    directory.add(1, "Anna")
    directory.exclude(1, reason="on leave")
    user = directory.add(1, "Anna B.")
    assert (user.name, user.excluded, user.reason) == ("Anna B.", True, "on leave")


@pytest.mark.parametrize(("until", "excluded"), [(None, True), (NOW + 1, True), (NOW, False), (NOW - 1, False)])
def test_an_exclusion_lasts_until_its_date(directory, until, excluded):
    directory.add(1, "Anna")
    user = directory.exclude(1, until)
    assert user.excluded is excluded
    assert user.excluded_until == (until if excluded else None)


def test_the_list_can_be_of_those_available_or_of_those_not(directory):
    for id in (1, 2, 3):
        directory.add(id, "Anna")
    directory.exclude(2)
    assert [user.id for user in directory.list(available=True)] == [1, 3]
    assert [user.id for user in directory.list(available=False)] == [2]


def test_including_ends_an_exclusion(directory):
    directory.add(1, "Anna")
    directory.exclude(1, NOW + 5, "ill")
    user = directory.include(1)
    assert (user.excluded, user.excluded_until, user.reason) == (False, None, "")


@pytest.mark.parametrize("change", [Directory.get, Directory.exclude, Directory.include, Directory.remove])
def test_an_unknown_id_is_not_found_and_nothing_is_recorded(directory, tmp_path, change):
    with pytest.raises(NotFound, match="no employee with the id 7"):
        change(directory, 7)
    assert audit(tmp_path / "people.db") == []


@pytest.mark.parametrize("name", ["", "  ", "Anna\x1b[2J", "\udcff"])
def test_a_name_that_cannot_be_shown_is_refused(directory, name):
    with pytest.raises(UsageError):
        directory.add(1, name)
    assert list(directory.list()) == []


def test_every_change_is_recorded_with_who_made_it(directory, tmp_path):
    directory.add(1, "Anna")
    directory.add(1, "Anna")
    directory.add(1, "Anna B.")
    directory.exclude(1, reason="ill")
    directory.include(1)
    directory.include(1)
    directory.remove(1)
    assert audit(tmp_path / "people.db") == [
        ("added", 1, "Anna"),
        ("renamed", 1, "Anna → Anna B."),
        ("excluded", 1, "for good: ill"),
        ("included", 1, ""),
        ("removed", 1, "Anna B."),
    ]


def test_a_decision_reused_for_a_second_task_counts_once(directory, tmp_path):
    directory.add(1, "Anna")

    async def scenario() -> None:
        people = open_people(tmp_path / "people.db", clock=lambda: NOW)
        for entity in ("deal:1", "deal:1", "deal:2"):
            await people.decide(Task("assign"), entity)
        await people.close()

    asyncio.run(scenario())
    user = directory.get(1)
    assert (user.assignments, user.last_assigned) == (2, NOW)


def test_a_file_adds_renames_excludes_and_includes(directory, tmp_path):
    directory.add(1, "Ann")
    directory.exclude(1)
    file = tmp_path / "staff.csv"
    file.write_text("id,name,excluded\n1,Anna,no\n2,Boris,yes\n3,Clara,\n", encoding="utf-8")
    assert directory.import_csv(file) == 3
    assert [(user.name, user.excluded) for user in directory.list()] == [
        ("Anna", False),
        ("Boris", True),
        ("Clara", False),
    ]


def test_a_file_without_a_column_excluded_leaves_exclusions_alone(directory, tmp_path):
    directory.add(1, "Ann")
    directory.exclude(1, reason="ill")
    file = tmp_path / "staff.csv"
    file.write_text("id,name\n1,Anna\n", encoding="utf-8")
    directory.import_csv(file)
    assert (directory.get(1).name, directory.get(1).reason) == ("Anna", "ill")


def test_importing_a_file_again_changes_nothing(directory, tmp_path):
    file = tmp_path / "staff.csv"
    file.write_text("id,name,excluded\n1,Anna,no\n2,Boris,yes\n", encoding="utf-8")
    directory.import_csv(file)
    before = audit(tmp_path / "people.db")
    directory.import_csv(file)
    assert audit(tmp_path / "people.db") == before


def test_bad_lines_are_named_and_the_good_ones_imported(directory, tmp_path):
    file = tmp_path / "staff.csv"
    file.write_text("id,name\n1,Anna\nx,Boris\n3,Clara\n", encoding="utf-8")
    with pytest.raises(PartlyFailed, match="line 3: 'x' is not an employee's id"):
        directory.import_csv(file)
    assert [user.id for user in directory.list()] == [1, 3]
