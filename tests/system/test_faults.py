"""What breaks around Carex: a full disk, folders that cannot be written, wrong settings. Clear words, nothing lost."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Installation


@pytest.fixture
def small_disk(installation: Installation) -> Iterator[Path]:
    """The installation's home on a disk of 2 MiB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", installation.home], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield installation.home
    for process in installation.started:
        process.kill()
        process.wait(10)
    subprocess.run(["umount", "--lazy", installation.home], check=True)


def test_a_full_disk_is_503_and_when_there_is_space_again_everything_accepted_is_done(
    installation: Installation, small_disk: Path, eventually: Callable[..., Any]
) -> None:
    server = installation.start("serve", "--port", "0")
    address = eventually(lambda: re.search(r"http://[\d.]+:\d+", installation.said(server))).group()
    client = httpx.Client(base_url=address, timeout=30)
    accepted = [_put(client).json()["task_id"] for _ in range(20)]
    filler = small_disk / "filler"
    _fill(filler)
    refused = eventually(lambda: (answer := _put(client)).status_code == 503 and answer, what="the disk being full")
    assert "retry-after" in refused.headers
    assert "disk is full" in refused.json()["error"]["message"]
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503
    filler.unlink()
    accepted.append(eventually(lambda: (answer := _put(client)).status_code == 202 and answer, 10).json()["task_id"])
    installation.worker()
    eventually(lambda: Counter(client.get(f"/tasks/{id}").json()["state"] for id in accepted) == {"done": 21})


def _put(client: httpx.Client) -> httpx.Response:
    return client.post("/tasks/zoo_tame", json={"n": 1})


def _fill(path: Path) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for size in (65536, 512):
            try:
                while True:
                    os.write(fd, b"x" * size)
            except OSError:
                continue
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "command", [["worker", "--burst"], ["serve", "--port", "0"], ["tasks", "list"], ["users", "list"]]
)
def test_a_data_folder_that_cannot_be_made_is_named_with_what_to_do(
    installation: Installation, command: list[str]
) -> None:
    (installation.home / "data").write_text("a file in the way")
    ended = installation.run(*command)
    assert ended.returncode == 3
    assert str(installation.home / "data") in ended.stderr
    assert "--home" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "command", [["worker", "--burst"], ["serve", "--port", "0"], ["tasks", "list"], ["config", "check"]]
)
def test_an_unknown_setting_is_refused_with_its_line_and_the_nearest_name(
    installation: Installation, command: list[str]
) -> None:
    (installation.home / "carex.toml").write_text("[worker]\nconcurency = 5\n")
    ended = installation.run(*command)
    assert ended.returncode == 3
    assert re.search(r"carex\.toml:2.*concurency.*concurrency", ended.stderr, re.DOTALL)
    assert "Traceback" not in ended.stderr


def test_a_damaged_queue_file_is_refused_and_left_as_it_is(installation: Installation) -> None:
    (installation.home / "data").mkdir()
    file = installation.home / "data" / "queue.db"
    file.write_bytes(b"this was a database once" * 1000)
    ended = installation.run("worker", "--burst")
    assert ended.returncode == 3
    assert "damaged" in ended.stderr
    assert file.read_bytes() == b"this was a database once" * 1000
