"""`carex users`, as a person and a script see it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def arguments(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "carex", "--home", str(home), "users", *words]


@pytest.fixture
def users(tmp_path: Path) -> Run:
    def users(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            arguments(tmp_path, *words), input=stdin, capture_output=True, encoding="utf-8", timeout=60, check=False
        )

    return users


@pytest.fixture
def staff(users: Run, tmp_path: Path) -> Run:
    """Anna (5) is available, Boris (6) is not."""
    file = tmp_path / "staff.csv"
    file.write_text("id,name,excluded\n5,Anna,no\n6,Boris,yes\n", encoding="utf-8")
    assert users("import", str(file)).returncode == 0
    return users


def test_an_empty_directory_says_how_to_add_somebody(users):
    done = users("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "carex users add ID NAME" in done.stderr


def test_somebody_added_is_listed(users):
    users("add", "5", "Анна Петрова")
    done = users("list")
    headings = "ID Name Available Weight Hours Limits Departments Assigned Last"
    assert done.stdout.splitlines()[0].split() == headings.split()
    assert done.stdout.splitlines()[1].split() == ["5", "Анна", "Петрова", "yes", "1", "always", "–", "–", "0", "–"]


def test_the_list_as_json(staff):
    answer = json.loads(staff("list", "--available", "--json").stdout)
    assert answer["schema"] == "carex.users/1"
    assert [(user["id"], user["name"], user["available"]) for user in answer["users"]] == [(5, "Anna", True)]


def test_an_exclusion_is_shown_with_its_end_and_reason(staff):
    done = staff("exclude", "5", "--until", "2099-01-31", "--reason", "on leave")
    assert done.returncode == 0
    assert "no: excluded until 2099-01-31 00:00 (on leave)" in staff("list").stdout


def test_who_is_included_is_available_again(staff):
    staff("include", "6")
    assert "Boris" in staff("list", "--available").stdout


def test_what_is_set_is_shown(staff):
    done = staff(
        "set", "5", "weight=2", "schedule=mon-fri 09:00-18:00", "tz=Asia/Omsk", "daily_cap=20", "departments=Sales"
    )
    assert done.returncode == 0
    assert "weight 1.0 → 2.0" in done.stderr
    row = next(line for line in staff("list").stdout.splitlines() if "Anna" in line)
    assert "2       mon-fri 09:00-18:00 Asia/Omsk  20 a day  Sales" in row


def test_who_is_paused_or_over_a_limit_is_not_available_and_it_is_said_why(staff):
    staff("include", "6")
    staff("set", "5", "paused=2h")
    staff("set", "6", "daily_cap=0")
    said = staff("list").stdout
    assert "no: paused until " in said
    assert "no: daily_cap 0 of 0" in said
    assert "Nobody is available" in staff("list", "--available").stderr


def test_changes_are_kept_with_who_made_them(staff):
    staff("set", "5", "weight=2")
    staff("exclude", "5")
    answer = json.loads(staff("history", "5", "--json").stdout)
    assert [change["what"] for change in answer["changes"]] == ["added", "set", "excluded"]
    assert all(change["actor"] for change in answer["changes"])
    assert "weight 1.0 → 2.0" in staff("history").stdout


def test_the_rules_of_the_house_hold_in_the_list(staff, tmp_path):
    (tmp_path / "carex.toml").write_text('[people]\nschedule = "mon 00:00-00:01"\ntime_zone = "Asia/Omsk"\n')
    assert "no: off_shift until Mon 00:00" in staff("list").stdout


def test_removing_asks_first(staff):
    done = staff("remove", "6")
    assert done.returncode == 5
    assert "--yes" in done.stderr
    assert "Boris" in staff("list").stdout


def test_a_dry_run_of_removing_removes_nobody(staff):
    assert "would be removed" in staff("remove", "6", "--dry-run").stderr
    assert "Boris" in staff("list").stdout


def test_who_is_removed_is_gone(staff):
    assert staff("remove", "6", "--yes").returncode == 0
    assert "Boris" not in staff("list").stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["add", "abc", "Anna"], 2, "'abc' is not an employee's id"),
        (["add", "9" * 20, "Anna"], 2, "is not an employee's id"),
        (["add", "7", " "], 2, "The name is empty"),
        (["include", "99"], 4, "no employee with the id 99"),
        (["exclude", "99"], 4, "no employee with the id 99"),
        (["remove", "99", "--yes"], 4, "no employee with the id 99"),
        (["set", "5"], 2, "Missing argument"),
        (["set", "5", "wieght=2"], 2, "Did you mean weight="),
        (["set", "99", "weight=2"], 4, "no employee with the id 99"),
        (["exclude", "5", "--until", "2001-01-01"], 2, "is in the past"),
        (["exclude", "5", "--until", "soon"], 2, "is not a date"),
        (["import", "nothing-here.csv"], 2, "cannot be read"),
    ],
)
def test_a_mistake_has_its_exit_code_and_no_traceback(users, words, code, message):
    done = users(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_with_bad_lines_is_partly_done(users, tmp_path):
    file = tmp_path / "staff.csv"
    file.write_bytes("ид;ФИО\n5;Пётр\nx;Анна\n".encode("cp1251"))
    done = users("import", str(file))
    assert done.returncode == 7
    assert "line 3: 'x' is not an employee's id" in done.stderr
    assert "Пётр" in users("list").stdout


def test_a_dry_run_of_an_import_shows_who_would_come(users, tmp_path):
    file = tmp_path / "staff.csv"
    file.write_text("id,name\n5,Anna\n", encoding="utf-8")
    assert "Anna" in users("import", str(file), "--dry-run").stdout
    assert users("list").stdout == ""


def test_the_menu_shows_all_or_only_those_available(staff):
    every = staff("browse", stdin="1\n3\n")
    available = staff("browse", stdin="2\n3\n")
    assert "1 — все сотрудники\n2 — только доступные\n3 — выход" in every.stderr
    assert ("Boris" in every.stdout, "Boris" in available.stdout) == (True, False)
    assert "Anna" in available.stdout


def test_the_menu_asks_again_after_a_wrong_answer(staff):
    done = staff("browse", stdin="7\n\nвсе\n1\n3\n")
    assert done.stderr.count("Введите 1, 2 или 3.") == 3
    assert "Anna" in done.stdout


def test_the_menu_ends_politely_when_the_input_ends(staff):
    done = staff("browse", stdin="1")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "До свидания!")


def test_the_menu_ends_politely_on_ctrl_c(tmp_path):
    process = subprocess.Popen(
        arguments(tmp_path, "browse"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", bufsize=1
    )
    assert process.stdin is not None
    assert process.stderr is not None
    next(line for line in process.stderr if "3 — выход" in line)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1]) == (0, "До свидания!")


def test_a_folder_that_cannot_be_used_is_explained(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be", encoding="utf-8")
    done = subprocess.run(arguments(tmp_path, "list"), capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 3
    assert "people.db cannot be opened" in done.stderr
    assert "Traceback" not in done.stderr


def test_listing_imports_nothing_heavy(staff, tmp_path):
    script = "import sys; from carex.cli import app; app(standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, "--home", str(tmp_path), "users", "list"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    imported = set(done.stderr.split())
    # Not pydantic: newer versions of Typer import it themselves.
    heavy = {"fastapi", "uvicorn", "httpx", "aiohttp", "loguru", "prometheus_client", "sqlite_utils"}
    assert "carex.cli.users" in imported
    assert imported & heavy == set()
