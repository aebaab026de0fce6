"""The bridge: the engine's external tasks to RabbitMQ, and the answers back. It keeps no state; several may run."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Literal

import anyio
from loguru import logger

from carex.camunda.answers import EngineError, Verdict
from carex.camunda.dispatch import Dispatch
from carex.camunda.engine import Engine
from carex.camunda.locks import Locks
from carex.camunda.models import Models
from carex.camunda.responses import Responses
from carex.camunda.routes import systems
from carex.camunda.stats import Stats
from carex.errors import ConfigError, Unreachable
from carex.rabbitmq import topology
from carex.rabbitmq.connection import Broker, Rejected
from carex.settings import Settings

LINE = 30.0
"""Seconds between two lines of statistics."""
CHECK = 1.0
Half = Literal["dispatch", "responses"]


class Bridge:
    """One process's bridge, or one half of it."""

    def __init__(self, settings: Settings, only: Half | None = None) -> None:
        self._settings = settings
        self._only = only
        self.stats = Stats(fetching=only != "responses")
        self._stopping: anyio.Event | None = None
        self._stopped = False

    def stop(self) -> None:
        """Let the poll end, publish what it brings, finish the answers in hand; then `run` returns."""
        self._stopped = True
        if self._stopping is not None:
            self._stopping.set()

    async def run(self) -> None:
        """Run until stopped. Raises ConfigError for what trying again would not mend; an engine or a RabbitMQ that
        does not answer is waited for."""
        stopping = self._stopping = anyio.Event()
        if self._stopped:
            stopping.set()
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(Engine(self._settings.camunda))
            await self._greet(engine)
            broker = Broker(self._settings.rabbitmq, name=f"carex bridge {self._only or ''}".strip())
            stack.push_async_callback(broker.close)
            await broker.start()
            checked = broker.ready and await self._check(broker)
            async with anyio.create_task_group() as watching:
                watching.start_soon(self._watch, broker, checked)
                await self._carry(engine, broker, stopping)
                watching.cancel_scope.cancel()
        logger.info("{}", self.stats.line())

    async def _greet(self, engine: Engine) -> None:
        try:
            logger.info("The engine at {} is of version {}.", engine.address, await engine.version())
            self.stats.engine_up = True
        except EngineError as error:
            if error.answer.verdict is not Verdict.OUTAGE:
                raise ConfigError(error.message, error.hint) from None
            logger.error("{} Trying on.", error.message)

    async def _carry(self, engine: Engine, broker: Broker, stopping: anyio.Event) -> None:
        settings, stats = self._settings, self.stats
        models = Models(engine)
        locks = Locks(engine, settings.camunda, stats)
        responses = Responses(settings, engine, broker, models, stats, locks.forget)
        dispatch = Dispatch(settings, engine, broker, models, locks, stats, responses.in_hand)
        handed_over = anyio.Event()  # then no more tasks come, and the answers in hand can be finished
        async with anyio.create_task_group() as group:
            if self._only != "dispatch":
                group.start_soon(responses.run, stopping if self._only else handed_over)
            if self._only != "responses":
                await dispatch.run(stopping)
            handed_over.set()

    async def _watch(self, broker: Broker, checked: bool) -> None:
        """Make RabbitMQ fit as soon as it is there, and say every 30 seconds how things are."""
        said = self.stats.clock()
        while True:
            self.stats.broker_up = broker.ready
            if broker.ready and not checked:
                checked = await self._check(broker)
            if self.stats.clock() - said >= LINE:
                said += LINE
                logger.info("{}", self.stats.line())
            await anyio.sleep(CHECK)

    async def _check(self, broker: Broker) -> bool:
        try:
            rabbitmq = self._settings.rabbitmq
            for difference in await topology.check(broker, rabbitmq, systems(rabbitmq)):
                logger.warning("{}", difference)
            logger.info("RabbitMQ was checked for the queues of {}.", ", ".join(systems(rabbitmq)))
        except (Unreachable, Rejected) as error:
            logger.error("RabbitMQ: {}", error)
            return False
        return True
