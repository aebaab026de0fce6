"""What a worker's attempts came to: counted for the metrics, written to the log, summed up at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carex import log, metrics
from carex.executor import Result
from carex.queue import Delivery
from carex.task import BpmnError, Crash, Done, Fail, Outcome, Retry, Wait
from carex.waits import Waits

KINDS: dict[type, str] = {
    Done: "done",
    Retry: "retry",
    Wait: "wait",
    Fail: "fail",
    BpmnError: "bpmn_error",
    Crash: "crash",
}


@dataclass
class Report:
    """What a worker did from its start to its end."""

    done: int = 0
    failed: int = 0
    set_back: int = 0
    """Attempts that ended in a retry or a wait."""
    given_back: int = 0
    """Tasks that were running when it stopped and went back to the queue."""

    def add(self, kind: str, number: int = 1) -> None:
        """Count attempts that ended so; what was lost is somebody else's to count."""
        if kind == "done":
            self.done += number
        elif kind in ("fail", "bpmn_error"):
            self.failed += number
        elif kind in ("retry", "wait", "crash"):
            self.set_back += number


class Account:
    """Takes note of how attempts ended."""

    def __init__(self) -> None:
        self.report = Report()
        self._counters: dict[str, float] = {}
        self._waits = Waits()

    def counters(self) -> dict[str, float]:
        """What was counted since the last call (see `carex.metrics`)."""
        counted, self._counters = self._counters, {}
        return counted

    def count(self, name: str, number: int = 1) -> None:
        self._counters[name] = self._counters.get(name, 0.0) + number

    def note(self, results: Sequence[Result], outcomes: Sequence[tuple[Delivery, Outcome]]) -> None:
        """Count and log; a line a task, but one write for all that went well or wait."""
        quiet = []
        kinds: dict[tuple[str, str], int] = {}
        for result, (delivery, outcome) in zip(results, outcomes, strict=True):
            task = delivery.task
            kind = KINDS[type(outcome)]
            kinds[task.type, kind] = kinds.get((task.type, kind), 0) + 1
            line = f"{task.type} {kind} in {result.seconds:.3f} s | task_id={task.id} attempt={task.attempt}"
            if isinstance(outcome, Done):
                quiet.append(line)
            elif isinstance(outcome, Wait):
                quiet.append(f"{line} next_in={outcome.delay:.1f}s: {outcome.reason}")
                log.lines("INFO", __name__, self._waits.note(task.type, outcome.reason))
            elif isinstance(outcome, Retry):
                log.lines("WARNING", __name__, [f"{line} next_in={outcome.delay or 0:.1f}s: {outcome.reason}"])
            elif isinstance(outcome, Crash):
                log.lines("ERROR", __name__, [f"{line}: {outcome.reason}"])
            else:
                log.lines("ERROR", __name__, [f"{line}: {outcome}"])
        log.lines("DEBUG", __name__, quiet)
        for (task_type, kind), number in kinds.items():
            self.count(f"attempts:{task_type}:{kind}", number)
            self.report.add(kind, number)
        metrics.observe(self._counters, [result.seconds for result in results])
