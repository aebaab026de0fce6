"""The pictures in the README show what the commands print now, up to numbers, ids and who was drawn."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.system.docs.reader import ROOT

STORED = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "pictures").glob("*.svg")}


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "pictures"))


@pytest.fixture(scope="module")
def drawn(tool: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = tool["pictures"]()
    return found


@pytest.mark.parametrize("name", ["demo", "explain", "status"])
def test_a_picture_is_what_the_command_prints_now(name: str, tool: dict[str, Any], drawn: dict[str, str]) -> None:
    assert tool["shape"](drawn[name]) == tool["shape"](STORED[name]), "run tools/pictures"


def test_a_picture_needs_no_other_host(drawn: dict[str, str]) -> None:
    assert [name for name, svg in drawn.items() if "url(http" in svg or "url('http" in svg or 'url("http' in svg] == []
