"""What is promised whatever happens to workers, on each backend. The handlers' own traces are the judge."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from carex.database import sqlite3
from carex.task import Task

if TYPE_CHECKING:
    from conftest import Installation

LEASE = 2.0


def long(*values: Any) -> Any:
    return pytest.param(*values, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])


def animals(kind: str, numbers: range, trace: Path, **payload: Any) -> list[Task]:
    return [Task(f"zoo_{kind}", {"trace": str(trace), "n": n, **payload}) for n in numbers]


def starts(trace: Path) -> list[tuple[int, int, float]]:
    """Each start of a handler: the animal's number, the process, the time."""
    lines = [line.split() for line in trace.read_text().splitlines()] if trace.exists() else []
    return [(int(n), int(pid), float(at)) for n, _, pid, at in lines]


@pytest.mark.parametrize("rounds", [2, long(20)])
def test_what_a_killed_worker_ran_is_taken_up_within_a_lease_and_a_second(
    rounds: int, either: Installation, tmp_path: Path, eventually: Any
) -> None:
    either.env["CAREX_QUEUE__LEASE"] = str(LEASE)
    worker = either.worker()
    for number in range(rounds):
        trace = tmp_path / f"trace{number}"
        either.put(*animals("learning", range(20), trace, seconds=600))
        eventually(lambda trace=trace: len(starts(trace)) == 20)
        heir = either.worker()
        killed = time.time()
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda trace=trace: len(starts(trace)) >= 40)
        taken_up = [at - killed for _, pid, at in starts(trace) if pid != worker.pid]
        assert len(taken_up) == 20
        assert max(taken_up) <= LEASE + 1
        worker = heir
        eventually(lambda all=20 * (number + 1): len(either.entries("done")) == all)
    assert {entry.crashes for entry in either.entries("done")} == {1}


@pytest.mark.parametrize("rounds", [2, long(50)])
def test_the_results_of_a_worker_that_was_frozen_are_refused(
    rounds: int, either: Installation, tmp_path: Path, eventually: Any
) -> None:
    either.env["CAREX_QUEUE__LEASE"] = str(LEASE)
    log = tmp_path / "logs" / "company_main.log"
    workers = {worker.pid: worker for worker in (either.worker(), either.worker())}
    for number in range(rounds):
        trace = tmp_path / f"trace{number}"
        either.put(*animals("tame", range(5), trace, seconds=LEASE))
        frozen = eventually(lambda trace=trace: len(starts(trace)) == 5 and Counter(pid for _, pid, _ in starts(trace)))
        victim, held = frozen.most_common(1)[0]
        freeze(victim, either)
        eventually(lambda trace=trace, held=held: len(starts(trace)) == 5 + held)
        refused = log.read_text().count("the lease was lost")
        os.kill(victim, signal.SIGCONT)
        eventually(lambda all=refused + held: log.read_text().count("the lease was lost") == all)
        eventually(lambda all=5 * (number + 1): len(either.entries("done")) == all)
        assert victim not in {pid for _, pid, _ in starts(trace)[5:]}
    assert all(worker.poll() is None for worker in workers.values())


def freeze(pid: int, installation: Installation) -> None:
    """Stop a process, but not inside a transaction of SQLite: that keeps all others out until it goes on."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        if installation.queue_url.startswith("redis"):
            return
        file = sqlite3.connect(installation.queue_url.removeprefix("sqlite://"), timeout=0.5)
        with closing(file), suppress(sqlite3.OperationalError):
            file.execute("BEGIN IMMEDIATE")
            return
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("times", [4, long(50)])
def test_a_worker_told_to_stop_under_load_leaves_nothing_undone_or_waiting_for_a_lease(
    times: int, either: Installation, tmp_path: Path, eventually: Any
) -> None:
    trace = tmp_path / "trace"
    for number in range(times):
        either.put(*animals("tame", range(400 * number, 400 * (number + 1)), trace, seconds=0.2))
        worker = either.worker("--concurrency", "50")
        eventually(either.running_at(worker), what="work being done")
        worker.terminate()
        assert worker.wait(15) == 0
        assert either.entries("running") == []
    assert either.entries("waiting"), "none of the workers was told to stop while there was work"
    assert either.run("worker", "--burst").returncode == 0
    done = either.entries("done")
    assert len(done) == 400 * times
    assert {(entry.task.attempt, entry.crashes) for entry in done} == {(1, 0)}
    assert len(starts(trace)) == 400 * times


def test_a_second_signal_gives_back_at_once_and_spends_no_attempt(
    either: Installation, tmp_path: Path, eventually: Any
) -> None:
    either.put(*animals("tame", range(50), tmp_path / "trace", seconds=600))
    worker = either.worker()
    eventually(lambda: len(starts(tmp_path / "trace")) == 50)
    told = time.monotonic()
    worker.terminate()
    eventually(lambda: worker.poll() is not None or worker.terminate())
    assert worker.returncode == 0
    assert time.monotonic() - told < 5
    waiting = either.entries("waiting")
    assert [(entry.task.attempt, entry.crashes) for entry in waiting] == [(0, 0)] * 50
    assert "50 given back" in either.said(worker)


@pytest.mark.parametrize(
    ("healthy", "ill"), [(200, 1), pytest.param(4500, 10, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])]
)
def test_among_handlers_that_hang_block_raise_and_kill_the_healthy_ones_are_done(
    healthy: int, ill: int, either: Installation, tmp_path: Path, eventually: Any
) -> None:
    either.env["CAREX_QUEUE__LEASE"] = str(LEASE)
    trace = tmp_path / "trace"
    ends = {
        "segfault": (animals("poison", range(ill), trace, seconds=0.2), "SIGSEGV"),
        "kill": (animals("poison", range(ill), trace, seconds=0.2, signal=int(signal.SIGKILL)), "SIGKILL"),
        "hang": (animals("hanging", range(ill * 2), trace), "timed out after 0.3 s"),
        "block": (animals("blocking", range(ill), trace), "blocked the event loop"),
        "raise": (animals("raising", range(healthy // 10), trace), "it bites"),
    }
    tame = animals("tame", range(healthy), tmp_path / "healthy", seconds=0.1)
    every = [*tame, *(task for tasks, _ in ends.values() for task in tasks)]
    either.put(*sorted(every, key=lambda task: hash(task.id)))
    either.worker("--processes", "2", "--concurrency", "50")
    eventually(lambda: len(either.entries("done")) == healthy, 60 + healthy / 10, "all healthy tasks")
    failed = len(every) - healthy
    eventually(lambda: len(either.entries("failed")) == failed, 60 + failed, "the end of all others")
    reasons = {each["id"]: each["reason"] for each in either.ask("errors", "list", "--limit", "9999")["tasks"]}
    for tasks, reason in ends.values():
        assert [reasons[task.id] for task in tasks if reason not in reasons[task.id]] == []
    assert all(reasons[task.id].startswith("crash: ") for name in ("segfault", "kill") for task in ends[name][0])


def test_a_handler_that_freezes_its_whole_process_is_found_out_and_the_others_go_on(
    installation: Installation, tmp_path: Path, eventually: Any
) -> None:
    installation.env["CAREX_QUEUE__LEASE"] = "4"
    trace = tmp_path / "trace"
    (freezing,) = animals("freezing", range(1), trace)
    tame = animals("tame", range(40), tmp_path / "healthy", seconds=0.1)
    worker = installation.worker("--processes", "2")
    installation.put(freezing, *tame)
    eventually(lambda: len(installation.entries("done")) == 40, 60)
    eventually(lambda: installation.entries("failed"), 60)
    assert "no sign of life" in installation.entry(freezing).reason
    assert len(starts(trace)) <= 5
    worker.terminate()
    assert worker.wait(20) == 0
