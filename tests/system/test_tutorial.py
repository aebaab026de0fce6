"""The tutorial, `handlers/README.md`, done from its first line to its last, as a reader would."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from carex.cli.handlers_new import FILES
from tests.system.docs.reader import Reader, blocks

if TYPE_CHECKING:
    from tools.servers import Vhost

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "handlers" / "README.md"


@pytest.fixture
def reader(tmp_path: Path, broker: Vhost) -> Iterator[Reader]:
    environment = {
        "CAREX": str(ROOT),
        "AMQP_URL": broker.url,
        "RABBITMQ_HOST": broker.host,
        "RABBITMQ_PORT": str(broker.port),
        "RABBITMQ_USERNAME": broker.username,
        "RABBITMQ_PASSWORD": broker.password,
        "CAREX_RABBITMQ__VHOST": broker.vhost,
    }
    reader = Reader(tmp_path, environment)
    yield reader
    reader.leave()


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


@pytest.mark.timeout(600)
def test_the_tutorial_works_as_written(reader: Reader, tmp_path: Path) -> None:
    reader.do(blocks(TUTORIAL))
    (wheel,) = tmp_path.glob("wheels/carex-*.whl")
    plugins = {path.name for path in ROOT.glob("handlers/*/carex_*") if path.is_dir()}
    assert {name.partition("/")[0] for name in names(wheel)} == {"carex", "carex-0.1.0.dist-info", *plugins}
    assert {name for name in names(wheel) if "/example/" in name} == {f"carex/example/{file}" for file in FILES}


def test_every_block_is_a_file_commands_or_what_they_print() -> None:
    kinds = {(block.language, bool(block.name)) for block in blocks(TUTORIAL)}
    assert kinds == {("sh", False), ("text", False), ("python", True), ("toml", True)}
