from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from carex.camunda.stats import Stats


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
