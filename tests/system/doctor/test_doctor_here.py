"""Broken on this machine: files, people, ports, plugins; and a portal that is not as it should be."""

from __future__ import annotations

import http.server
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from carex.cli.doctor.home import FULL, TIGHT, room
from carex.task import Task

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Installation, SimulatedPortal

SECRET = "s3cr3t0word"


def damage_people(home: Installation) -> None:
    home.employ(1)
    file = home.home / "data" / "people.db"
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * 8192)


def file_for_folder(home: Installation) -> None:
    (home.home / "data").rename(home.home / "aside")
    (home.home / "data").write_text("")


def newer_queue(home: Installation) -> None:
    connection = sqlite3.connect(home.home / "data" / "queue.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()


def toml(text: str) -> Callable[[Installation], Any]:
    return lambda home: (home.home / "carex.toml").write_text(text)


def of_one(text: str) -> Callable[[Installation], Any]:
    def act(home: Installation) -> None:
        home.employ(1)
        toml(text)(home)

    return act


def no_driver(home: Installation) -> None:
    """As on a machine for which there is no wheel."""
    if sqlite3.sqlite_version_info >= (3, 51, 3):
        pytest.skip("the standard library's SQLite has no fault")
    (home.home / "pysqlite3.py").write_text("raise ImportError")
    home.env["PYTHONPATH"] = str(home.home)


def second_of_a_type(home: Installation) -> None:
    (home.home / "mine.py").write_text(
        "from carex import Plugin\nplugin = Plugin('mine')\n"
        "@plugin.handler('send_email')\ndef send_email() -> None:\n    pass\n"
    )
    toml("handlers = ['mine:plugin']")(home)


def not_to_import(home: Installation) -> None:
    (home.home / "mine.py").write_text("import a_library_that_is_not_there")
    toml("handlers = ['mine:plugin']")(home)


BROKEN: dict[str, tuple[Callable[[Installation], Any], int, str, str]] = {
    "damaged people": (damage_people, 1, "people.db", "restore a backup"),
    "a queue of a newer Carex": (newer_queue, 1, "newer Carex", "Upgrade"),
    "a file in the folder's place": (file_for_folder, 1, "data is not a folder", "Move it away"),
    "open logs": (lambda home: (home.home / "logs").chmod(0o777), 0, "logs is open to others", "chmod 770"),
    "SQLite with a fault": (no_driver, 0, "has a fault with WAL", "pysqlite3"),
    "two plugins with one type": (second_of_a_type, 3, "send_email", "Mend that module"),
    "a plugin that needs more": (not_to_import, 3, "a_library_that_is_not_there", "Mend that module"),
    "holidays": (toml("[people]\nholidays = 'nowhere.txt'"), 3, "nowhere.txt", ""),
    "a time zone": (toml("[people]\ntime_zone = 'Mars/Olympus'"), 3, "Mars/Olympus", ""),
    "a pool of nobody": (
        of_one("[[people.pools]]\nname = 'big'\nwhen = {amount = '>=5'}\nmembers = [77]"),
        0,
        "not in the directory: 77",
        "[people]",
    ),
    "a fallback that nobody is": (of_one("[people]\nfallback = 99"), 0, "fallback 99", "users"),
    "a condition": (toml("[[people.pools]]\nname = 'big'\nwhen = {amount = '> 5 000'}"), 3, "amount", "[people]"),
    "two pools of a name": (toml("[[people.pools]]\nname = 'a'\n[[people.pools]]\nname = 'a'"), 3, "'a'", ""),
    "an address of another machine": (
        lambda home: home.env.update(CAREX_SERVER__HOST="203.0.113.7", CAREX_SERVER__PORT="8000"),
        1,
        "no address of this machine",
        "server.host",
    ),
    "a host without an address": (
        lambda home: home.env.update(CAREX_SERVER__HOST="nowhere.invalid", CAREX_SERVER__PORT="8000"),
        1,
        "nowhere.invalid",
        "server.host",
    ),
    "a webhook without TLS": (
        lambda home: home.env.update(WEBHOOK_CAREX=f"http://portal.invalid/rest/1/{SECRET}/"),
        1,
        "travels unencrypted",
        "https",
    ),
    "half a webhook": (lambda home: home.env.update(WEBHOOK_CAREX=f"https://portal/{SECRET}"), 3, "webhook", ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_here_is_named_with_its_fix(
    case: str, installation: Installation, doctor: Callable[..., Any]
) -> None:
    act, code, says, fix = BROKEN[case]
    installation.run("init")
    act(installation)

    found = doctor()

    assert found.names(says, fix), found.troubles
    assert found.code == code, found.troubles


@pytest.mark.parametrize(
    ("free", "level"), [(FULL - 1, "wrong"), (FULL, "warning"), (TIGHT - 1, "warning"), (TIGHT, "ok")]
)
def test_a_disk_that_fills_is_named_before_it_is_full(free: int, level: str, tmp_path: Path) -> None:
    assert room(tmp_path, free).level == level


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of a program that is not Carex's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("setting", ["SERVER", "METRICS"])
def test_a_port_that_another_program_has_is_named(
    setting: str, installation: Installation, doctor: Callable[..., Any], stranger: int
) -> None:
    installation.env[f"CAREX_{setting}__PORT"] = str(stranger)

    found = doctor("ports")

    assert found.names("taken by another program", f"choose another: {setting.lower()}.port"), found.troubles
    assert found.code == 1


def test_a_port_of_a_silent_program_is_named(installation: Installation, doctor: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        installation.env["CAREX_SERVER__PORT"] = str(silent.getsockname()[1])

        found = doctor("ports")

    assert found.names("taken by another program", "choose another")


def test_a_port_that_carex_has_is_well(installation: Installation, doctor: Callable[..., Any]) -> None:
    _, address = installation.serve()
    installation.env["CAREX_SERVER__PORT"] = address.rpartition(":")[2]

    assert doctor("ports") == (0, [])


def test_a_portal_that_nobody_may_call_now_is_named_with_the_reason(
    installation: Installation, doctor: Callable[..., Any], portal: Callable[..., SimulatedPortal], eventually: Any
) -> None:
    portal().fault(kind="error", code="INVALID_CREDENTIALS", status=401)
    installation.run("init")
    installation.put(Task("bitrix_assign", {"deal_id": 1}))
    installation.worker()
    eventually(lambda: any(each.reason for each in installation.entries("waiting")))

    found = doctor("queue", "bitrix24")

    assert found.names("is not called for another", "carex doctor --only bitrix24"), found.troubles
    assert found.names("WEBHOOK_CAREX", "Inbound webhook"), found.troubles
    assert found.code == 1
