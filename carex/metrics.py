"""The installation's metrics for Prometheus, whatever process did the work: made from the queue's counts.

Workers add to counters that the queue keeps: flat names, floats, sums over the installation's life. They are
`attempts:TYPE:OUTCOME` (`done`, `retry`, `wait`, `fail`, `bpmn_error` or `crash`), `seconds:sum`, `seconds:le:BOUND`
(each attempt in one bucket only), `bitrix_errors`, `redis_errors` and `sqlite_errors` (how often the storage did not
answer a worker), `leases_lost` and `loops_given_up`. The metrics that start with the prefix are the old installation's,
kept for its dashboards.

What may be counted is 0 from the start: Prometheus sees no increase in what was not there before.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from carex.limiter import ALL, Bucket
from carex.queue.protocol import Counts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the processing time, in seconds."""

ENDED = ("done", "fail", "bpmn_error")
"""The outcomes that count as processed: the others will run again."""
OUTCOMES = (*ENDED, "retry", "wait", "crash")

_BOUNDS = (*(str(bound) for bound in BUCKETS), "+Inf")
_KEYS = tuple(f"seconds:le:{bound}" for bound in _BOUNDS)


def observe(counters: dict[str, float], times: Sequence[float]) -> None:
    """Add the processing times of attempts, in seconds."""
    for seconds in times:
        key = _KEYS[bisect_left(BUCKETS, seconds)]
        counters[key] = counters.get(key, 0.0) + 1.0
    counters["seconds:sum"] = counters.get("seconds:sum", 0.0) + sum(times)


def installation_metrics(
    counts: Counts, prefix: str, *, limits: Mapping[str, Bucket] | None = None, disk_free: int = 0
) -> bytes:
    """Prometheus' text format, to be served as `CONTENT_TYPE`. `disk_free` is in bytes, for the home's folder."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Installation:
        def collect(self) -> Iterator[Any]:
            return families(counts, prefix, limits or {}, disk_free)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Installation())
    return generate_latest(registry)


def families(counts: Counts, prefix: str, limits: Mapping[str, Bucket], disk_free: int) -> Iterator[Any]:
    """The installation's metrics as prometheus_client has them."""
    yield from _kept(counts, prefix)
    yield from _ours(counts)
    yield from _limits(limits)
    from prometheus_client.core import GaugeMetricFamily

    yield GaugeMetricFamily("carex_disk_free_bytes", "Room on the disk of data/.", value=disk_free)


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
    types = {type for type, _ in counts.by_state} | {type for type, _, _ in _attempts(counts)}
    ended = {(type, outcome): 0.0 for type in types for outcome in OUTCOMES}
    ended |= {(type, outcome): times for type, outcome, times in _attempts(counts)}
    for (type, outcome), times in sorted(ended.items()):
        attempts.add_metric([type, outcome], times)
    yield attempts
    alive = sum(holder.alive for holder in counts.holders)
    for name, text, value in (
        ("oldest_due_seconds", "Age of the longest ready task.", counts.oldest_due),
        ("workers", "Live processes that claim tasks.", alive),
        ("answers_unsent", "Answers to RabbitMQ that are stored and not confirmed yet.", counts.unsent),
    ):
        yield GaugeMetricFamily(f"carex_{name}", text, value=value)
    for name, text, keys in (
        (
            "storage_errors",
            "Times that the queue's storage did not answer a worker.",
            ("redis_errors", "sqlite_errors"),
        ),
        ("leases_lost", "Results refused, as the task had been given to another worker.", ("leases_lost",)),
        ("loops_given_up", "Event loops given up, as a handler had blocked them.", ("loops_given_up",)),
    ):
        value = sum(counts.counters.get(key, 0.0) for key in keys)
        yield CounterMetricFamily(f"carex_{name}", text, value=value)
    yield InfoMetricFamily("carex_build", "Which Carex this is.", value={"version": __version__})


def _limits(limits: Mapping[str, Bucket]) -> Iterator[Any]:
    """A bucket is named SYSTEM:ADDRESS; of several addresses the least room counts."""
    from prometheus_client.core import GaugeMetricFamily

    now, rooms, closed = time.time(), dict[str, float](), dict[tuple[str, str], int]()
    for name, bucket in limits.items():
        system = name.partition(":")[0]
        rooms[system] = min(rooms.get(system, bucket.room(now)), bucket.room(now))
        ends = {key: until for key, (until, _) in bucket.closed.items() if until > now}
        for what, number in (("everything", int(ALL in ends)), ("methods", len(ends.keys() - {ALL}))):
            closed[system, what] = closed.get((system, what), 0) + number
    room = GaugeMetricFamily("carex_limiter_room", "Requests that could go to a system at once.", labels=["system"])
    closures = GaugeMetricFamily(
        "carex_limiter_closures",
        "What is not called for a while: all of a system, or methods.",
        labels=["system", "what"],
    )
    for system, requests in sorted(rooms.items()):
        room.add_metric([system], requests)
    for labels, number in sorted(closed.items()):
        closures.add_metric(labels, number)
    yield from (room, closures)


def _attempts(counts: Counts) -> Iterator[tuple[str, str, float]]:
    """(type, outcome, number) of each counter of attempts."""
    for key, number in counts.counters.items():
        kind, _, rest = key.partition(":")
        if kind == "attempts":
            type, _, outcome = rest.rpartition(":")
            yield type, outcome, number
