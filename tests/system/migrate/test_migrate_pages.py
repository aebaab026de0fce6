"""The pages about moving, done from their first line to their last by somebody who has such an old installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.docs.reader import ROOT, Reader, blocks

if TYPE_CHECKING:
    from tests.system.migrate.conftest import OldDistributor

DOCS = ROOT / ".github" / "docs"
DEAL = '{"task_type": "process_carex_random", "payload": {"deal_id": 1, "cont_id": 2}}'


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    reader = Reader(tmp_path, {"HOME": str(tmp_path), "PATH": path})
    yield reader
    reader.leave()


@pytest.mark.parametrize("language", ["", ".ru"])
def test_the_page_about_the_distributor_works_as_written(
    reader: Reader, make_old: Callable[..., OldDistributor], language: str
) -> None:
    old = make_old("company_new_server")
    old.employ(("5", "Anna", 0), ("6", "Boris", 1))
    old.push(DEAL)
    reader.do(blocks(DOCS / f"moving-from-the-deal-distributor{language}.md"))
    well, said = reader.type("carex users list; carex tasks list; cat .env\n")
    assert well, said
    assert all(part in said for part in ("Anna", "excluded", "bitrix_assign", "WEBHOOK_CAREX="))


@pytest.mark.parametrize("language", ["", ".ru"])
def test_the_page_about_the_camunda_worker_works_as_written(
    reader: Reader, tmp_path: Path, broker: Any, language: str
) -> None:
    old = tmp_path / "camunda-worker"
    old.mkdir()
    (old / ".env").write_text(
        "CAMUNDA_BASE_URL=https://camunda.example.com/engine-rest\nCAMUNDA_WORKER_ID=universal-worker\n"
        f"RABBITMQ_HOST={broker.host}\nRABBITMQ_PORT={broker.port}\nRABBITMQ_PASSWORD={broker.password}\nLOG_LEVEL=INFO\n"
    )
    reader.do(blocks(DOCS / f"moving-from-the-camunda-worker{language}.md"))
    well, said = reader.type("carex config show --origin\n")
    assert well, said
    assert "camunda.example.com" in said
