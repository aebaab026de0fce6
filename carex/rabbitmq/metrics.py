"""What one worker's process did with RabbitMQ, for its own metrics port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from carex.rabbitmq.connection import Broker
from carex.rabbitmq.intake import Intake
from carex.rabbitmq.outbox import Outbox


class Metrics:
    """A collector for a Prometheus registry."""

    def __init__(self, broker: Broker, outbox: Outbox, intake: Intake | None) -> None:
        self._broker = broker
        self._outbox = outbox
        self._intake = intake

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        up = "Whether RabbitMQ takes messages from this process."
        yield GaugeMetricFamily("carex_rabbitmq_up", up, value=float(self._broker.ready))
        if self._intake is not None:
            taken, dead = "Tasks taken in from RabbitMQ.", "Messages that were no tasks."
            yield CounterMetricFamily("carex_rabbitmq_tasks_taken", taken, value=self._intake.put)
            yield CounterMetricFamily("carex_rabbitmq_messages_dead", dead, value=self._intake.dead)
        yield CounterMetricFamily("carex_rabbitmq_answers_sent", "Answers sent.", value=self._outbox.sent)
