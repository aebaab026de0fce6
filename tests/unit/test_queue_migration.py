"""A queue that an earlier Carex wrote is taken over with all that is in it."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path

from carex.database import connect
from carex.queue.sqlite import SqliteQueue
from carex.task import Task


def test_tasks_of_the_first_schema_are_run_and_new_ones_can_be_answered(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    old = connect(path, [files("carex.queue").joinpath("schema.sql").read_text()])
    old.execute(
        "INSERT INTO tasks (id, type, payload, window, source, created, due) VALUES ('a', 'deal', '{}', 0, 'x', 1, 1)"
    )
    old.close()

    async def scenario() -> None:
        queue = SqliteQueue(path)
        await queue.put([Task("deal", id="b", reply={"to": "engine"})])
        claimed = await queue.claim(["deal"], 2)
        assert {each.task.id: each.task.reply for each in claimed} == {"a": None, "b": {"to": "engine"}}
        await queue.close()

    asyncio.run(scenario())
