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
        taken, dead = (self._intake.put, self._intake.dead) if self._intake is not None else (0, 0)
        # Who had no reason to connect yet is not down.
        up = self._broker.ready if self._broker.started else True
        return families(up=up, taken=taken, dead=dead, sent=self._outbox.sent)


def families(*, up: bool = True, taken: int = 0, dead: int = 0, sent: int = 0) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    text = "0 if this process needs RabbitMQ, and it takes no messages."
    yield GaugeMetricFamily("carex_rabbitmq_up", text, value=float(up))
    yield CounterMetricFamily("carex_rabbitmq_tasks_taken", "Tasks taken in from RabbitMQ.", value=taken)
    yield CounterMetricFamily("carex_rabbitmq_messages_dead", "Messages that were no tasks.", value=dead)
    yield CounterMetricFamily("carex_rabbitmq_answers_sent", "Answers sent.", value=sent)
