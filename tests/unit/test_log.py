"""The log: whole lines, no secrets, and nobody is held up by it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from carex import log
from carex.errors import ConfigError
from carex.log import Lines, LogFile

SECRET = "s3cr/et wörd"
FORMS = [SECRET, "s3cr/et%20w%C3%B6rd", "s3cr%2Fet%20w%C3%B6rd", "s3cr%2Fet+w%C3%B6rd"]


@pytest.fixture(autouse=True)
def _hooks_as_before() -> Iterator[None]:
    hooks = sys.excepthook, threading.excepthook, logging.root.handlers[:], logging.root.level
    yield
    logger.remove()
    sys.excepthook, threading.excepthook, logging.root.handlers[:], logging.root.level = hooks


def set_up(home: Path, level: str = "INFO", format: str = "text") -> None:
    log.setup(home, level=level, format=format, secrets=frozenset({SECRET}), name="worker")


def main_log(home: Path) -> str:
    return (home / "logs" / "company_main.log").read_text(encoding="utf-8")


def debug_log(home: Path) -> str:
    return (home / "logs" / "company_debug.log").read_text(encoding="utf-8")


def one(message: str) -> Lines:
    return Lines(0.0, "INFO", "name", [message], {}, "", "worker")


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=30
    )


def test_a_line_says_when_how_bad_where_what_and_for_which_task(tmp_path: Path) -> None:
    set_up(tmp_path)

    logger.bind(task_id="abc", attempt=2).info("deal {} given", 123)

    stamp, rest = main_log(tmp_path).split(" | ", 1)
    assert len(stamp) == len("2026-11-21 23:59:59.123")
    assert rest == f"INFO | {__name__} | deal 123 given | task_id=abc attempt=2\n"


def test_the_main_log_begins_at_info_and_the_debug_log_holds_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(tmp_path, level="WARNING")

    logger.debug("low")
    logger.info("middle")

    assert "low" not in main_log(tmp_path)
    assert "middle" in main_log(tmp_path)
    assert "low" in debug_log(tmp_path)
    assert capsys.readouterr().err == ""


@given(st.text())
def test_one_record_is_one_line_whatever_it_says(message: str) -> None:
    assert one(message).text().splitlines(keepends=True) == [one(message).text()]
    assert one(message).json().count("\n") == 1
    assert "\x1b" not in one(message).text()


def test_on_a_terminal_a_traceback_stands_below_and_forges_nothing() -> None:
    lines = Lines(0.0, "ERROR", "name", ["\x1b[2J", "b"], {"k": "\n"}, "Traceback\nValueError: \x1b[2J", "worker")

    first, second, *trace = lines.coloured().splitlines()

    assert (first.count("\\x1b[2J"), "\x1b[2J" in first, second.endswith("k=\\n\033[0m")) == (1, False, True)
    assert trace == ["    Traceback", "    ValueError: \\x1b[2J"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("format", ["text", "json"])
def test_no_form_of_a_secret_reaches_any_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, format: str
) -> None:
    set_up(tmp_path, format=format)

    logger.bind(url=form).info("calling {}", form)
    log.lines("INFO", "name", ["well", f"calling {form}", "two\nlines"])
    logging.getLogger("uvicorn.error").error("calling %s", form)

    written = main_log(tmp_path) + debug_log(tmp_path) + capsys.readouterr().err
    assert written.count("***") == 3 * 4
    assert form not in written


def test_a_traceback_is_on_its_line_without_secrets_or_local_variables(tmp_path: Path) -> None:
    set_up(tmp_path)
    local = "can" + "ary"
    try:
        raise ValueError(f"{SECRET}\nforged", len(local))
    except ValueError:
        logger.exception("it failed")

    (line,) = main_log(tmp_path).splitlines()
    assert "ValueError: ('***\\nforged', 6)" in line
    assert local not in line


def test_json_lines_carry_the_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(tmp_path, format="json")

    logger.bind(task_id="abc").warning('a "word"\nand more')

    found = json.loads(capsys.readouterr().err)
    assert {**found, "time": ""} == {
        "time": "",
        "level": "WARNING",
        "logger": __name__,
        "message": 'a "word"\nand more',
        "task_id": "abc",
        "process": "worker",
    }


def test_the_standard_library_is_led_in_but_talkative_libraries_are_hushed(tmp_path: Path) -> None:
    set_up(tmp_path)

    logging.getLogger("plugin").info("100%% {sure}")
    logging.getLogger("httpx").info("GET https://…")

    assert "| INFO | plugin | 100%% {sure}\n" in main_log(tmp_path)
    assert "GET" not in debug_log(tmp_path)


def test_many_lines_are_one_write_with_their_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(tmp_path)

    log.lines("DEBUG", "carex.worker", ["first", "second"])

    assert [line.split(" | ")[1:] for line in debug_log(tmp_path).splitlines()] == [
        ["DEBUG", "carex.worker", "first"],
        ["DEBUG", "carex.worker", "second"],
    ]
    assert main_log(tmp_path) == capsys.readouterr().err == ""


WRITER = """
import sys; from pathlib import Path; from carex.log import Lines, LogFile
file = LogFile(Path(sys.argv[1]), "INFO")
for number in range(2000):
    file.write(Lines(0.0, "INFO", sys.argv[2], [sys.argv[2] * 200], {}, "", ""))
"""


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "log")]
    writers = [subprocess.Popen([*command, letter]) for letter in "abc"]

    assert [writer.wait(30) for writer in writers] == [0, 0, 0]

    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 6000
    assert {line.split(" | ", 2)[2] for line in lines} == {f"{letter} | {letter * 200}" for letter in "abc"}


@pytest.mark.parametrize("deleted", [True, False])
def test_a_moved_or_deleted_file_is_opened_again(tmp_path: Path, deleted: bool) -> None:
    now = 0.0
    file = LogFile(tmp_path / "log", "INFO", lambda: now)
    file.write(one("before"))
    file.path.unlink() if deleted else file.path.rename(tmp_path / "log.1")

    now = 1.0
    file.write(one("after"))

    assert "after" in file.path.read_text()
    file.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_stops_nobody() -> None:
    LogFile(Path("/dev/full"), "INFO").write(one("lost"))


TORN = """
import resource, signal, sys; from pathlib import Path; from carex.log import Lines, LogFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = LogFile(Path(sys.argv[1]), "INFO")
for limit, text in ((20, "torn"), (resource.RLIM_INFINITY, "whole")):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    file.write(Lines(0.0, "INFO", "name", [text], {}, "", ""))
"""


def test_after_half_a_line_the_next_one_starts_afresh(tmp_path: Path) -> None:
    assert run(TORN, tmp_path / "log").returncode == 0

    half, whole = (tmp_path / "log").read_text().splitlines()
    assert len(half) == 20
    assert whole.endswith("INFO | name | whole")


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")

    with pytest.raises(ConfigError, match=r"company_main\.log cannot be opened for writing"):
        set_up(tmp_path)


UNCAUGHT = """
import sys; from pathlib import Path; from carex import log
log.setup(Path(sys.argv[1]), level="INFO", format="text", secrets=frozenset({"canary"}), name="worker")
raise ValueError("canary")
"""


def test_an_exception_that_nobody_caught_is_logged_without_secrets(tmp_path: Path) -> None:
    ended = run(UNCAUGHT, tmp_path)

    assert ended.returncode == 1
    assert "ValueError: ***\n" in main_log(tmp_path)
    assert "canary" not in ended.stderr + main_log(tmp_path)


def test_text_stored_elsewhere_can_be_cleaned_too(tmp_path: Path) -> None:
    set_up(tmp_path)

    assert log.redact(f"POST {FORMS[2]} failed") == "POST *** failed"
