"""What the bridge has done and how it is: the line every 30 seconds, and the metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

SUCCESSES = ("complete", "bpmn_error")
"""Answers after which the process went on."""
NEITHER = ("gone", "postponed")
"""Answers that count neither way: the engine had its word before, or will have it later."""
RECEIPTS = ("confirmed", "returned", "refused", "unsent", "unknown", "too_large")
RESULTS = (*SUCCESSES, "failure", "incident", "dead", "stale", *NEITHER)
LOCKS = ("extended", "given_back", "lost")


@dataclass(eq=False)
class Stats:
    """Sums since the start of this process, and what is the case now."""

    clock: Callable[[], float] = time.monotonic
    fetching: bool = True
    """Whether this bridge carries tasks at all, and not only answers."""
    fetched: int = 0
    published: Counter[str] = field(default_factory=Counter)
    """Task messages by what became of them: `confirmed`, `returned`, `refused`, `unsent`, `unknown`, `too_large`."""
    answered: Counter[str] = field(default_factory=Counter)
    """Responses by how they were settled: `complete`, `failure`, `bpmn_error`; `incident`: unfit for the engine, and
    reported to it as a failure; `dead`: laid aside; `gone`: the task had ended; `stale`: another worker has it;
    `postponed`: the task is suspended."""
    locks: Counter[str] = field(default_factory=Counter)
    """The engine's locks by what was done: `extended`, `given_back`, `lost`."""
    working: int = 0
    """Tasks that are locked for the work itself, whichever bridge handed them over."""
    overdue: int = 0
    """Those of them that are older than `max_work`: their locks are not prolonged any more."""
    last_poll: float | None = None
    """When a fetch last succeeded, by `clock`."""
    engine_up: bool = False
    broker_up: bool = False

    def __post_init__(self) -> None:
        self.started = self.clock()

    def line(self) -> str:
        """The line that the old worker wrote: dashboards read it."""
        done = sum(self.answered[result] for result in SUCCESSES)
        processed = sum(number for result, number in self.answered.items() if result not in NEITHER)
        uptime = int(self.clock() - self.started)
        return f"Monitor - Uptime: {uptime}s | Обработано: {processed} | Успешно: {done} | Ошибки: {processed - done}"

    def collect(self) -> Iterator[Any]:
        """The metrics, as a collector for Prometheus."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield CounterMetricFamily("carex_bridge_fetched", "External tasks fetched.", value=self.fetched)
        for name, text, label, known, numbers in (
            ("published", "Task messages by what became of them.", "receipt", RECEIPTS, self.published),
            ("answered", "Responses by how they were settled.", "result", RESULTS, self.answered),
            ("locks", "Locks of the engine by what was done.", "done", LOCKS, self.locks),
        ):
            family = CounterMetricFamily(f"carex_bridge_{name}", text, labels=[label])
            # Those that never happened are 0: Prometheus sees no increase in what was not there before.
            for value, number in sorted({**dict.fromkeys(known, 0), **numbers}.items()):
                family.add_metric([value], number)
            yield family
        if self.fetching:
            silence = self.clock() - (self.last_poll if self.last_poll is not None else self.started)
            yield GaugeMetricFamily(
                "carex_bridge_since_poll_seconds", "Seconds since a fetch last succeeded.", value=silence
            )
        for name, text, state in (
            ("in_flight", "External tasks that somebody works on.", self.working),
            ("overdue", "Those that are older than camunda.max_work.", self.overdue),
            ("engine_up", "1 if the engine answers.", self.engine_up),
            ("broker_up", "1 if RabbitMQ takes messages.", self.broker_up),
        ):
            yield GaugeMetricFamily(f"carex_bridge_{name}", text, value=float(state))


def serve(stats: Stats, port: int) -> Callable[[], None]:
    """Serve the metrics, with those of this process, on a port of this machine; return what ends that.

    Raises OSError if the port is taken.
    """
    from prometheus_client import REGISTRY, start_http_server

    server, thread = start_http_server(port, "127.0.0.1")
    REGISTRY.register(stats)

    def stop() -> None:
        REGISTRY.unregister(stats)
        server.shutdown()
        thread.join()

    return stop
