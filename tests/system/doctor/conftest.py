"""`carex doctor`, asked about one thing that was broken on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from conftest import Installation

SECRET = "s3cr3t0word"


class Diagnosis(NamedTuple):
    """The exit code, and each line that has a fix as `area: what → fix`."""

    code: int
    troubles: list[str]

    def names(self, says: str, fix: str) -> bool:
        """Whether one line says both, the one before its arrow, the other after it."""
        return any(says in what and fix in cure for what, _, cure in (each.partition(" → ") for each in self.troubles))


@pytest.fixture
def doctor(installation: Installation) -> Callable[..., Diagnosis]:
    """`doctor("queue", …)` looks at these areas, or at all; what must hold for every answer is looked at here."""
    installation.env |= {"PYTHONPATH": "", "CAREX_SERVER__PORT": "0"}

    def diagnose(*areas: str) -> Diagnosis:
        ended = installation.run("doctor", "--json", *(f"--only={area}" for area in areas))
        assert "Traceback" not in ended.stderr
        assert SECRET not in ended.stdout + ended.stderr
        found = json.loads(ended.stdout)
        bad = [line for line in found["lines"] if line["level"] in ("warning", "wrong")]
        assert [line for line in bad if not line["fix"]] == []
        return Diagnosis(ended.returncode, [f"{line['area']}: {line['text']} → {line['fix']}" for line in bad])

    return diagnose
