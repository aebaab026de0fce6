"""Every command, file and output of every page, as somebody meets it who reads from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.docs.reader import NOT_RUN, ROOT, Reader, blocks

DOCS = ROOT / ".github" / "docs"
README = ROOT / "README.md"
READ_ON = [DOCS / "deals.md", DOCS / "bridge.md"]
WITHOUT_BLOCKS = {DOCS / f"{name}.md" for name in ("guarantees", "speed", "reference", "glossary.ru")}
BEGUN = """
export CAREX="$PWD" PATH="$PATH:$PWD/tools"
mkdir ~/company && cd ~/company && carex init
carex users add 1 "Anna Petrova"; carex users add 5 "Ivan Sidorov"
"""
"""What the README has brought its readers to, before they read on."""


@pytest.fixture
def begun(reader: Reader, webhook: str) -> Reader:
    assert reader.type(f"{BEGUN} echo WEBHOOK_CAREX={webhook} >> .env\n")[0]
    return reader


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
def test_the_readme_works_as_written(reader: Reader) -> None:
    reader.do(blocks(README))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
@pytest.mark.parametrize("page", READ_ON, ids=lambda page: str(page.name))
def test_a_page_works_as_written(page: Path, begun: Reader) -> None:
    begun.do(blocks(page))


def test_every_page_is_read_by_a_test() -> None:
    elsewhere = set(DOCS.glob("moving-from-*.md"))
    assert {*DOCS.glob("*.md")} <= {*READ_ON, *WITHOUT_BLOCKS, *elsewhere}
    assert [block.place for page in WITHOUT_BLOCKS for block in blocks(page)] == []


def test_what_is_not_run_is_little_and_says_why() -> None:
    found = [block.note for page in [README, *READ_ON] for block in blocks(page) if block.note.startswith(NOT_RUN)]
    assert len(found) <= 3
    assert all(len(note) > 30 for note in found)
