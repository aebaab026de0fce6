"""Several processes decide on one file, as the workers of one machine do."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carex.people import Directory

DECIDE = """
import asyncio, os, pathlib, signal, sys
from carex import Task
from carex.people import open_people

async def main(file, entities, same_task, ending):
    people = open_people(pathlib.Path(file))
    for n in range(int(entities)):
        task = Task("assign", id=f"task-{n}") if same_task == "same-task" else Task("assign")
        decision = await people.decide(task, f"deal:{n}")
        print(decision.user_id, flush=True)
    if ending == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    await people.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Forty employees, so that two draws are rarely the same."""
    file = tmp_path / "people.db"
    directory = Directory(file)
    for id in range(1, 41):
        directory.add(id, f"Employee {id}")
    directory.close()
    return file


def start(file: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", DECIDE, str(file), *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("tasks", ["same-task", "own-tasks"])
def test_processes_that_decide_at_once_choose_the_same_people(file, tasks):
    processes = [start(file, "30", tasks, "closed") for _ in range(4)]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert len(answers) == 1
    assert len(answers.pop().split()) == 30


def test_a_decision_outlives_the_process_that_made_it(file):
    killed = start(file, "3", "same-task", "killed")
    before = killed.communicate(timeout=60)[0]
    after = start(file, "3", "same-task", "closed").communicate(timeout=60)[0]
    assert killed.returncode == -signal.SIGKILL
    assert before == after
    assert len(before.split()) == 3
