"""The worker under everything that handlers, signals and murderers do to it. Real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from carex.task import Task
from tests.system.conftest import lives

if TYPE_CHECKING:
    from conftest import Installation


def animal(kind: str, trace: Path | None = None, **payload: Any) -> Task:
    return Task(f"zoo_{kind}", {"trace": str(trace or ""), **payload})


def traces(trace: Path) -> list[list[str]]:
    """Each start of a handler: its number, attempt, process and time."""
    return [line.split() for line in trace.read_text().splitlines()] if trace.exists() else []


@pytest.mark.parametrize(
    ("kind", "state", "reason", "attempts"),
    [
        ("tame", "done", "", 1),
        ("sync", "done", "", 1),
        ("failing", "failed", "never again", 1),
        ("waiting", "waiting", "the zoo is closed", 0),
        ("exiting", "failed", "SystemExit: 3 (attempt 1 of 1)", 1),
        ("hanging", "failed", "timed out after 0.3 s (attempt 1 of 1)", 1),
        ("sync_hanging", "failed", "timed out after 0.3 s (attempt 1 of 1)", 1),
        ("unspeakable", "failed", "cannot be stored as JSON", 1),
    ],
)
def test_how_a_handler_ends_decides_what_becomes_of_its_task(
    installation: Installation, kind: str, state: str, reason: str, attempts: int
) -> None:
    task = animal(kind)
    installation.put(task)
    assert installation.run("worker", "--burst").returncode == 0
    entry = installation.entry(task)
    assert (entry.state, entry.task.attempt) == (state, attempts)
    assert reason in entry.reason


def test_a_payload_that_does_not_fit_fails_at_once_and_names_the_field(installation: Installation) -> None:
    task = Task("zoo_tame", {"n": "many"})
    installation.put(task)
    installation.run("worker", "--burst")
    assert installation.entry(task).reason.startswith("n: ")


def test_a_retried_task_runs_again_after_its_delay(installation: Installation, eventually: Any) -> None:
    task = animal("retrying")
    installation.put(task)
    installation.worker()
    eventually(lambda: installation.entry(task).state == "done")
    assert [line["outcome"] for line in installation.entry(task).history] == ["Retry", "Retry"]


def test_a_task_without_a_handler_waits(installation: Installation) -> None:
    task = Task("nobody_does_this")
    installation.put(task)
    assert installation.run("worker", "--burst").returncode == 0
    assert installation.entry(task).state == "waiting"


def test_a_broken_plugin_is_named_and_the_others_work(installation: Installation) -> None:
    task = animal("tame")
    installation.put(task)
    ended = installation.run("worker", "--burst")
    assert "Plugin wreck (carex-zoo 1.0) is broken" in ended.stderr
    assert "no_such_module" in ended.stderr
    assert installation.entry(task).state == "done"


def test_only_the_types_asked_for_are_run(installation: Installation) -> None:
    tame, sync = animal("tame"), animal("sync")
    installation.put(tame, sync)
    installation.run("worker", "--burst", "--types", "zoo_t*")
    assert (installation.entry(tame).state, installation.entry(sync).state) == ("done", "waiting")


def test_a_killed_workers_tasks_are_taken_up_at_once(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    trace = tmp_path / "trace"
    installation.put(*(animal("tame", trace, n=n, seconds=0.5) for n in range(20)))
    victim = installation.worker()
    eventually(lambda: len(traces(trace)) == 20)
    os.kill(victim.pid, signal.SIGKILL)
    installation.worker()
    eventually(lambda: len(installation.entries("done")) == 20, 5.0)
    assert {entry.crashes for entry in installation.entries("done")} == {1}


def test_sigterm_lets_running_tasks_finish(installation: Installation, tmp_path: Path, eventually: Any) -> None:
    trace = tmp_path / "trace"
    installation.put(*(animal("tame", trace, n=n, seconds=1.0) for n in range(5)))
    worker = installation.worker()
    eventually(lambda: len(traces(trace)) == 5)
    worker.terminate()
    assert worker.wait(10) == 0
    assert len(installation.entries("done")) == 5
    assert "5 done" in installation.said(worker)


def test_the_grace_period_ends(installation: Installation, tmp_path: Path, eventually: Any) -> None:
    installation.env["CAREX_WORKER__GRACE"] = "0.2"
    trace = tmp_path / "trace"
    task = animal("tame", trace, seconds=600)
    installation.put(task)
    worker = installation.worker()
    eventually(lambda: traces(trace))
    worker.terminate()
    assert worker.wait(10) == 0
    assert installation.entry(task).state == "waiting"


def test_a_poisonous_task_is_started_three_times_and_costs_its_neighbours_two_starts(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    trace = tmp_path / "trace"
    poison = animal("poison", trace, seconds=0.2)
    neighbours = [animal("tame", tmp_path / "neighbours", n=n, seconds=0.4) for n in range(30)]
    installation.put(poison, *neighbours)
    installation.worker("--processes", "2")
    eventually(lambda: installation.entry(poison).state == "failed", 40.0)
    assert installation.entry(poison).reason.startswith("crash: it ended the process that ran it alone")
    assert "SIGSEGV" in installation.entry(poison).reason
    assert len(traces(trace)) == 3  # among all, in a small company, alone
    eventually(lambda: len(installation.entries("done")) == 30)
    starts = Counter(number for number, *_ in traces(tmp_path / "neighbours"))
    assert max(starts.values()) <= 3


def test_a_worker_needs_no_stderr(installation: Installation) -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *installation.command("worker", "--burst")]
    assert subprocess.run(command, timeout=60).returncode == 0


@pytest.mark.parametrize("kind", ["breaking", "sync_breaking"])
def test_whoever_asks_why_a_process_crashed_is_told_where(
    kind: str, installation: Installation, eventually: Any
) -> None:
    fatal = animal(kind)
    installation.put(fatal)
    parent = installation.worker("--processes", "2")
    eventually(lambda: installation.entry(fatal).state == "failed")
    reason = installation.entry(fatal).reason
    assert re.search(rf"\(signal 11, SIGSEGV at \S+/carex_zoo\.py:\d+ in {kind}\)$", reason), reason
    assert re.search(rf'carex_zoo\.py", line \d+ in {kind}', installation.said(parent)), "at its first death, on stderr"


def test_a_poisonous_task_does_not_take_new_ones_along_twice(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    poison = animal("poison", tmp_path / "trace", seconds=0.5)
    installation.put(poison)
    installation.worker("--processes", "2")
    eventually(lambda: installation.entry(poison).crashes == 1)
    installation.put(*(animal("tame", n=n, seconds=0.2) for n in range(200)))
    eventually(lambda: len(installation.entries("done")) == 200)
    eventually(lambda: installation.entry(poison).state == "failed", 40.0)
    assert {entry.crashes for entry in installation.entries("done")} == {0}


def test_a_suspect_goes_on_when_its_worker_is_killed(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    trace = tmp_path / "trace"
    task = animal("tame", trace, seconds=4.0)
    installation.put(task)
    for starts in (1, 2):  # the second time it runs apart, as a suspect
        worker = installation.worker()
        eventually(lambda starts=starts: len(traces(trace)) == starts)
        os.kill(worker.pid, signal.SIGKILL)
    installation.worker()
    eventually(lambda: installation.entry(task).state == "done")
    assert (len(traces(trace)), installation.entry(task).crashes) == (2, 1)


def test_a_handler_that_blocks_its_loop_is_given_up_and_its_neighbours_finish(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    installation.env["CAREX_QUEUE__LEASE"] = "3"
    blocking = animal("blocking", tmp_path / "trace")
    neighbours = [animal("tame", n=n, seconds=0.3) for n in range(10)]
    installation.put(*neighbours, blocking)
    worker = installation.worker()
    eventually(lambda: len(installation.entries("done")) == 10, 15.0)
    entry = installation.entry(blocking)
    assert entry.state == "failed"
    assert "blocked the event loop" in entry.reason
    assert {each.crashes for each in installation.entries("done")} == {0}
    worker.terminate()
    assert worker.wait(15) == 0


def test_what_was_to_begin_after_a_handler_that_holds_its_loop_up_begins_beside_it(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    trace = tmp_path / "trace"
    stubborn = animal("stubborn", seconds=8.0)
    installation.put(stubborn, *(animal("tame", trace, n=n) for n in range(20)))
    installation.worker()
    eventually(lambda: len(installation.entries("done")) == 20)
    assert installation.entry(stubborn).state == "running"
    assert len(traces(trace)) == 20, "each began once"


@pytest.mark.parametrize("stubborn", [1, 2])
def test_while_a_handler_holds_its_loop_up_new_tasks_go_on_beside_it(
    stubborn: int, installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    worker = installation.worker("--concurrency", "2")
    blocking = [animal("stubborn", tmp_path / "trace", n=n, seconds=8.0) for n in range(stubborn)]
    for number, task in enumerate(blocking, 1):
        installation.put(task)
        eventually(lambda number=number: installation.said(worker).count("has blocked its event loop") == number)
    installation.put(*(animal("tame", n=n, seconds=0.05) for n in range(40)))
    eventually(lambda: len(installation.entries("done")) == 40)
    assert [installation.entry(task).state for task in blocking] == ["running"] * stubborn
    eventually(lambda: len(installation.entries("done")) == 40 + stubborn)
    installation.put(animal("tame", n=99))
    eventually(lambda: len(installation.entries("done")) == 41 + stubborn)
    worker.terminate()
    assert worker.wait(15) == 0


def test_children_that_die_are_restarted_and_end_with_their_parent(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    trace = tmp_path / "trace"
    parent = installation.worker("--processes", "2")
    installation.put(animal("tame", trace, n=1))
    eventually(lambda: len(traces(trace)) == 1)
    os.kill(int(traces(trace)[0][2]), signal.SIGKILL)
    installation.put(*(animal("tame", trace, n=n, seconds=0.2) for n in range(300)))
    eventually(lambda: len(installation.entries("done")) == 301)
    pids = {int(line[2]) for line in traces(trace)}
    assert len(pids) >= 2
    os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: not any(lives(pid) for pid in pids))
