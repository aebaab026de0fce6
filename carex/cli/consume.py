"""RabbitMQ's side of `carex worker`: tasks come in from its queues, answers go out, whoever asked for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from loguru import logger

from carex.camunda.messages import answer_of, to_task
from carex.errors import CarexError
from carex.rabbitmq.connection import Broker
from carex.rabbitmq.intake import Intake
from carex.rabbitmq.outbox import Outbox
from carex.rabbitmq.topology import check, system_of
from carex.task import Fail, Outcome, Wait
from carex.worker import Worker, backoff

if TYPE_CHECKING:
    from carex.queue import Delivery, Queue
    from carex.registry import Registry
    from carex.settings import Settings

BROKEN_DELAY = 60.0
"""Seconds until a task is tried again whose handler may be in a plugin that is broken."""


class Consumption:
    """Made before the worker, which needs `answer`, `outbox.post` and `moved`; started when the worker is there.

    Without a queue to consume it connects when there is a first answer to send: tasks of other workers' queues may be
    run here too.
    """

    def __init__(self, settings: Settings, queue: Queue, registry: Registry) -> None:
        self._settings = settings
        self._queue = queue
        self._registry = registry
        self._broker = Broker(settings.rabbitmq, name=f"carex worker {os.getpid()}")
        self.outbox = Outbox(self._broker, queue, settings.rabbitmq)
        self._intake: Intake | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def answer(self, delivery: Delivery, outcome: Outcome, attempts: int) -> str:
        worker = self._settings.worker
        body = answer_of(delivery, outcome, attempts, lambda n: backoff(n, worker.backoff_base, worker.backoff_max))
        return body or ""

    def moved(self) -> None:
        if self._intake is not None:
            self._intake.moved()

    async def start(self, worker: Worker) -> None:
        """Raises ConfigError if RabbitMQ refuses us; one that does not answer is waited for while the worker works."""
        if self._settings.rabbitmq.consume:
            await self._broker.start()
            self._intake = Intake(
                self._broker,
                self._queue,
                self.outbox,
                self._settings.rabbitmq,
                prefetch=self._settings.worker.concurrency,
                room=lambda: worker.room,
                to_task=to_task,
                refusal=self._refusal,
                answer=self.answer,
            )
            self._begin(self._consume(self._intake), worker)
        self._begin(self.outbox.run(), worker)
        if self._settings.metrics.port is not None:
            from prometheus_client import REGISTRY

            from carex.rabbitmq.metrics import Metrics

            REGISTRY.register(Metrics(self._broker, self.outbox, self._intake))

    def stop(self) -> None:
        """Take nothing more from RabbitMQ."""
        if self._intake is not None:
            self._intake.stop()

    async def close(self) -> None:
        """Send the last answers, if they can be sent now; the others stay in the queue."""
        self.stop()
        await self.outbox.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._broker.close()

    def _begin(self, coroutine: Coroutine[None, None, None], worker: Worker) -> None:
        async def run() -> None:
            try:
                await coroutine
            except CarexError as error:
                logger.error("{}", error)
                worker.stop()
            except Exception:
                logger.exception("RabbitMQ's side of the worker has failed; the worker stops.")
                worker.stop()
                raise

        self._tasks.append(asyncio.create_task(run()))

    async def _consume(self, intake: Intake) -> None:
        """First the queues: one that is declared here must not be called missing by its own consumer."""
        await self._broker.until_ready()
        systems = [system for queue in self._settings.rabbitmq.consume if (system := system_of(queue))]
        for difference in await check(self._broker, self._settings.rabbitmq, systems):
            logger.warning("RabbitMQ: {}", difference)
        await intake.run()

    def _refusal(self, type: str) -> Outcome | None:
        """How to answer a task at once that nobody here can run; None if there is a handler."""
        if type in self._registry.handlers:
            return None
        if self._registry.broken:
            names = ", ".join(broken.name for broken in self._registry.broken)
            return Wait(f"There is no handler for {type}, but there are broken plugins: {names}", BROKEN_DELAY)
        return Fail(f"There is no handler for {type}. Install the plugin that has it, or route the topic elsewhere.")
