"""What a task says about itself."""

from __future__ import annotations

from typing import Any

import pytest

from carex.task import Task


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"attempt": 1}, False),
        ({"attempt": 2}, True),
        ({"attempt": 1, "reply": {"retries": None}}, False),
        ({"attempt": 1, "reply": {"retries": 3}}, True),
    ],
    ids=["the first attempt", "a later one", "the engine's first", "one that the engine gives out again"],
)
def test_a_task_knows_whether_it_may_have_been_tried_before(given: dict[str, Any], expected: bool) -> None:
    assert Task("work", **given).repeated is expected
