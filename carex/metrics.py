"""The installation's metrics for Prometheus, whatever process did the work: made from the queue's counts.

Workers add to counters that the queue keeps: flat names, floats, sums over the installation's life. They are
`attempts:TYPE:OUTCOME` (`done`, `retry`, `wait`, `fail`, `bpmn_error` or `crash`), `seconds:sum`, `seconds:le:BOUND`
(each attempt in one bucket only), `bitrix_errors` and `redis_errors`. The metrics that start with the prefix are the
old installation's, kept for its dashboards.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from carex.queue.protocol import Counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the processing time, in seconds."""

ENDED = ("done", "fail", "bpmn_error")
"""The outcomes that count as processed: the others will run again."""

_BOUNDS = (*(str(bound) for bound in BUCKETS), "+Inf")
_KEYS = tuple(f"seconds:le:{bound}" for bound in _BOUNDS)


def observe(counters: dict[str, float], seconds: float) -> None:
    """Add one attempt's processing time."""
    key = _KEYS[bisect_left(BUCKETS, seconds)]
    counters[key] = counters.get(key, 0.0) + 1.0
    counters["seconds:sum"] = counters.get("seconds:sum", 0.0) + seconds


def installation_metrics(counts: Counts, prefix: str) -> bytes:
    """Prometheus' text format, to be served as `CONTENT_TYPE`."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Installation:
        def collect(self) -> Iterator[Any]:
            yield from _kept(counts, prefix)
            yield from _ours(counts)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Installation())
    return generate_latest(registry)


def _kept(counts: Counts, prefix: str) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    found = counts.counters
    processed = sum(n for _, outcome, n in _attempts(counts) if outcome in ENDED)
    yield CounterMetricFamily(f"{prefix}_tasks_processed", "Tasks that ended.", value=processed)
    total, buckets = 0.0, []
    for bound, key in zip(_BOUNDS, _KEYS, strict=True):
        total += found.get(key, 0.0)
        buckets.append((bound, total))
    yield HistogramMetricFamily(
        f"{prefix}_task_processing_time_second",
        "How long attempts took, in seconds.",
        buckets=buckets,
        sum_value=found.get("seconds:sum", 0.0),
    )
    queued = counts.of("waiting") + counts.of("running")
    yield GaugeMetricFamily(f"{prefix}_tasks_in_queue", "Tasks that wait or run.", value=queued)
    yield GaugeMetricFamily(f"{prefix}_tasks_in_queue_errors", "Failed tasks.", value=counts.of("failed"))
    for name, text in (("redis", "Redis"), ("bitrix", "Bitrix24")):
        value = found.get(f"{name}_errors", 0.0)
        yield CounterMetricFamily(f"{prefix}_{name}_errors", f"Calls to {text} that failed.", value=value)


def _ours(counts: Counts) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    from carex import __version__

    tasks = GaugeMetricFamily("carex_tasks", "Unfinished and failed tasks.", labels=["state", "type"])
    for (type, state), number in sorted(counts.by_state.items()):
        tasks.add_metric([state, type], number)
    yield tasks
    attempts = CounterMetricFamily("carex_attempts", "Attempts by how they ended.", labels=["type", "outcome"])
    for type, outcome, times in sorted(_attempts(counts)):
        attempts.add_metric([type, outcome], times)
    yield attempts
    yield GaugeMetricFamily("carex_oldest_due_seconds", "Age of the longest ready task.", value=counts.oldest_due)
    alive = sum(holder.alive for holder in counts.holders)
    yield GaugeMetricFamily("carex_workers", "Live processes that claim tasks.", value=alive)
    yield InfoMetricFamily("carex_build", "Which Carex this is.", value={"version": __version__})


def _attempts(counts: Counts) -> Iterator[tuple[str, str, float]]:
    """(type, outcome, number) of each counter of attempts."""
    for key, number in counts.counters.items():
        kind, _, rest = key.partition(":")
        if kind == "attempts":
            type, _, outcome = rest.rpartition(":")
            yield type, outcome, number
