"""The README and its Russian twin say the same; links lead somewhere; what is said to be tested is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
ENGLISH, RUSSIAN = ROOT / "README.md", GITHUB / "README.ru.md"
PAGES = [ENGLISH, *GITHUB.glob("*.md"), *GITHUB.glob("docs/*.md"), *ROOT.glob("handlers/**/README.md")]
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNWANTED = "## Не употребляем"


def twin(page: Path) -> Path:
    return RUSSIAN if page == ENGLISH else page.with_suffix(".ru.md")


TWINS = [ENGLISH, *(page for page in sorted(GITHUB.glob("docs/*.md")) if twin(page).exists())]


def sections(page: Path) -> list[str]:
    """A page's text, cut before each heading; headings inside blocks are none."""
    text = FENCE.sub(lambda found: found.group().replace("\n#", "\n #"), page.read_text(encoding="utf-8"))
    return re.split(r"(?m)^(?=#+ )", text)


def levels(page: Path) -> list[int]:
    return [len(section) - len(section.lstrip("#")) for section in sections(page)]


def commands(section: str) -> list[tuple[str, str]]:
    """What the blocks say to a machine: comments, which are in the page's language, are left out."""
    return [
        (kind, re.sub(r"(?m) *(?<!\S)# .*$", "", text)) for kind, text in FENCE.findall(section) if kind != "mermaid"
    ]


def numbers(section: str) -> list[str]:
    """The numbers of the prose, sorted, however a language writes them: 4,763 and 4 763 are one."""
    prose = re.sub(r"\]\([^)]*\)", "]", FENCE.sub("", section))
    return sorted(re.sub(r"\D", "", number) for number in re.findall(r"\d+(?:[.,\u00a0\u202f]\d+)*", prose))


def targets(section: str, page: Path) -> list[str]:
    """Where the links lead, sorted; those within Carex as paths."""
    found = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", section))
    return sorted(each if "://" in each else _path(each, page) for each in found)


def _path(link: str, page: Path) -> str:
    path = (page.parent / link.partition("#")[0]).resolve() if not link.startswith("#") else page
    russian = twin(path) if path.suffix == ".md" and not path.name.endswith(".ru.md") else path
    return str(russian if russian.exists() else path)


def code(section: str) -> list[str]:
    return sorted(re.findall(r"`[^`\n]+`", FENCE.sub("", section)))


def pairs(page: Path) -> list[tuple[str, str]]:
    return list(zip_longest(sections(page), sections(twin(page)), fillvalue=""))


@pytest.mark.parametrize("page", TWINS, ids=lambda page: str(page.name))
def test_twins_have_the_same_headings(page: Path) -> None:
    assert levels(twin(page)) == levels(page)


@pytest.mark.parametrize("part", [commands, numbers, code], ids=lambda part: str(part.__name__))
@pytest.mark.parametrize("page", TWINS, ids=lambda page: str(page.name))
def test_twins_say_the_same(page: Path, part: Callable[[str], object]) -> None:
    differing = [
        (russian.partition("\n")[0], part(english), part(russian))
        for english, russian in pairs(page)
        if part(english) != part(russian)
    ]
    assert differing == []


@pytest.mark.parametrize("page", TWINS, ids=lambda page: str(page.name))
def test_twins_link_to_the_same(page: Path) -> None:
    for english, russian in pairs(page):
        assert targets(russian, twin(page)) == targets(english, page), russian.partition("\n")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    lost = [
        link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and not _leads_somewhere(link, page)
    ]
    assert lost == []


def _leads_somewhere(link: str, page: Path) -> bool:
    file, _, anchor = link.partition("#")
    path = (page.parent / file) if file else page
    if not path.exists():
        return False
    return not anchor or anchor in {_anchor(each.partition("\n")[0]) for each in sections(path)}


def _anchor(heading: str) -> str:
    """As GitHub makes it from a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [RUSSIAN, *GITHUB.glob("docs/*.ru.md")], ids=lambda page: str(page.name))
def test_russian_pages_are_in_russian(page: Path) -> None:
    glossary = (GITHUB / "docs" / "glossary.ru.md").read_text(encoding="utf-8")
    calques = tuple(re.findall(r"[а-яё]+", glossary.partition(UNWANTED)[2].partition(".")[0]))
    words = re.findall(r"[а-яё]+", page.read_text(encoding="utf-8").partition(UNWANTED)[0].lower())
    assert len(calques) > 10
    assert [word for word in words if word.startswith(calques)] == []


def test_nothing_is_said_to_come_from_an_index() -> None:
    assert [page for page in PAGES if re.search(r"pip install carex\b(?!-)", page.read_text(encoding="utf-8"))] == []


def test_every_guarantee_has_its_test() -> None:
    named = set(re.findall(r"`(test_\w+)`", (GITHUB / "docs" / "guarantees.md").read_text(encoding="utf-8")))
    tests = [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("handlers/*/tests/**/test_*.py")]
    there = {name for path in tests for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert named - there == set()


def test_the_reference_is_what_the_code_says(tmp_path: Path) -> None:
    written = tmp_path / "reference.md"
    subprocess.run([sys.executable, str(ROOT / "tools" / "reference"), str(written)], check=True)
    assert written.read_text() == (GITHUB / "docs" / "reference.md").read_text(), "run tools/reference"
