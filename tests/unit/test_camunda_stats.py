from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from carex.camunda.stats import RECEIPTS, Stats
from carex.rabbitmq.message import Receipt


def test_the_line_counts_answers_that_moved_the_process_as_successes() -> None:
    now = 100.0
    stats = Stats(clock=lambda: now)
    now = 3700.5
    stats.answered.update(complete=146, bpmn_error=1, failure=1, dead=1, incident=1, gone=9, postponed=9)
    assert stats.line() == "Monitor - Uptime: 3600s | Обработано: 150 | Успешно: 147 | Ошибки: 3"


def test_metrics_say_how_long_no_fetch_has_succeeded() -> None:
    now = 0.0
    stats = Stats(clock=lambda: now)
    stats.last_poll, now = 5.0, 12.0
    stats.answered["complete"] += 2
    registry = CollectorRegistry()
    registry.register(stats)
    text = generate_latest(registry).decode()
    assert "carex_bridge_since_poll_seconds 7.0" in text
    assert 'carex_bridge_answered_total{result="complete"} 2.0' in text


def exported(stats: Stats) -> str:
    registry = CollectorRegistry()
    registry.register(stats)
    return generate_latest(registry).decode()


def test_what_never_happened_is_zero_so_that_its_first_time_is_an_increase() -> None:
    text = exported(Stats())
    assert 'carex_bridge_answered_total{result="dead"} 0.0' in text
    assert 'carex_bridge_locks_total{done="lost"} 0.0' in text
    assert 'carex_bridge_published_total{receipt="returned"} 0.0' in text


def test_the_known_receipts_are_those_that_rabbitmq_gives() -> None:
    assert (*(receipt.value for receipt in Receipt), "too_large") == RECEIPTS


def test_a_bridge_for_answers_only_is_not_late_with_fetching() -> None:
    assert "since_poll" not in exported(Stats(fetching=False))
