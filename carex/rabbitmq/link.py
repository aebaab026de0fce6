"""One connection to RabbitMQ that is made again whenever it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from carex.errors import CarexError, ConfigError, Unreachable
from carex.settings import RabbitMQSettings

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between two attempts to connect, at most: a broker that is back is noticed soon."""
CALM = 5.0
"""A connection that lasted this many seconds was well: after it the pauses begin anew."""
OPENING = 10.0
CLOSING = 3.0


class Link:
    """`on_open` is called with every new connection, `on_lost` when it has broken.

    Errors that trying again would not mend are only `ConfigError` in the first attempt; later the broker may be in the
    middle of something, and the attempts go on.
    """

    def __init__(
        self,
        settings: RabbitMQSettings,
        name: str,
        on_open: Callable[[Any], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._name = name
        self._on_open = on_open
        self._on_lost = on_lost
        self._living: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._opening: Any = None
        self._first_error: CarexError | None = None
        self.place = f"RabbitMQ at {settings.host}:{settings.port}"
        self.connection: Any = None
        """The open connection, or None."""
        self.blocked = ""
        """Why the broker takes no messages on this connection; empty if it does."""
        self.unblocked = asyncio.Event()
        self.unblocked.set()
        self.why_not = f"{self.place}: not connected yet"
        """Why there is no connection; empty if there is one."""

    @property
    def begun(self) -> bool:
        return self._living is not None

    def begin(self, *, quiet: bool = False) -> None:
        """Connect, and stay connected, in the background. `quiet`: whoever waits for the first attempt reports it."""
        if self._living is None:
            logging.getLogger("pika").setLevel(logging.CRITICAL)  # it reports as errors what we expect and explain
            self._living = asyncio.create_task(self._live(quiet))

    async def attempted(self) -> None:
        """Wait for the end of the first attempt; raise what it failed with."""
        await self._tried.wait()
        if self._first_error is not None:
            raise self._first_error

    async def close(self) -> None:
        if self._living is not None:
            self._living.cancel()
            await asyncio.wait({self._living})
            self._living = None
        with contextlib.suppress(Exception):  # it may be on its way to its end by itself
            if self._opening is not None:
                self._opening.close()
        with contextlib.suppress(Exception):
            if self.connection is not None:
                closed = asyncio.Event()
                self.connection.add_on_close_callback(lambda *_: closed.set())
                self.connection.close()
                await asyncio.wait_for(closed.wait(), CLOSING)
        self.connection = None

    async def _live(self, quiet: bool) -> None:
        from loguru import logger

        loop, pause = asyncio.get_running_loop(), SHORTEST_PAUSE
        said = ""
        while True:
            try:
                broken = await self._connect()
            except CarexError as error:
                self.why_not = error.message
                if not self._tried.is_set():
                    self._first_error = error
                if error.message != said and not quiet:
                    logger.error("{} Trying on.", error.message)
                said, quiet = error.message, False
            else:
                if said:
                    logger.info("{} answers again.", self.place)
                said, began = "", loop.time()
                self._tried.set()
                reason = await broken
                self.connection = None
                self._take_messages()
                said = self.why_not = f"{self.place}: the connection broke: {reason}."
                logger.warning("{} Connecting again.", self.why_not)
                self._on_lost()
                if loop.time() - began > CALM:
                    pause = SHORTEST_PAUSE
            self._tried.set()
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret hangs on it
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _connect(self) -> asyncio.Future[str]:
        """Connect once; return a future that ends with the reason when the connection has broken."""
        from pika.adapters.asyncio_connection import AsyncioConnection

        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        broken: asyncio.Future[str] = loop.create_future()

        def succeed(connection: Any) -> None:
            connection.add_on_connection_blocked_callback(self._block)
            connection.add_on_connection_unblocked_callback(self._unblock)
            self.connection, self.why_not = connection, ""
            if not opened.done():
                opened.set_result(None)
            self._on_open(connection)

        def fail(connection: Any, error: BaseException) -> None:
            if not opened.done():
                opened.set_exception(self._explain(error))

        def end(connection: Any, error: BaseException) -> None:
            if not broken.done():
                broken.set_result(str(getattr(error, "reply_text", "") or next(_causes(error))))

        self._opening = AsyncioConnection(
            self._parameters(),
            on_open_callback=succeed,
            on_open_error_callback=fail,
            on_close_callback=end,
            custom_ioloop=loop,
        )
        await opened
        self._opening = None
        return broken

    def _block(self, connection: Any, frame: Any) -> None:
        from loguru import logger

        self.blocked = f"{self.place} takes no messages: {frame.method.reason}"
        self.unblocked.clear()
        logger.warning("{}. Waiting until it does.", self.blocked)

    def _unblock(self, connection: Any, frame: Any) -> None:
        from loguru import logger

        self._take_messages()
        logger.info("{} takes messages again.", self.place)

    def _take_messages(self) -> None:
        self.blocked = ""
        self.unblocked.set()

    def _parameters(self) -> Any:
        import pika

        settings = self._settings
        password = settings.password.get_secret_value() if settings.password else "guest"
        return pika.ConnectionParameters(
            host=settings.host,
            port=settings.port,
            virtual_host=settings.vhost,
            credentials=pika.PlainCredentials(settings.username, password),
            heartbeat=round(settings.heartbeat),
            connection_attempts=1,
            socket_timeout=OPENING / 2,
            stack_timeout=OPENING,
            client_properties={"connection_name": self._name},
            ssl_options=pika.SSLOptions(self._tls(), settings.host) if settings.tls else None,
        )

    def _tls(self) -> ssl.SSLContext:
        file = self._settings.ca_file
        try:
            return ssl.create_default_context(cafile=file)
        except OSError as error:
            raise ConfigError(f"rabbitmq.ca_file: {file}: {error.strerror or error}.") from None

    def _explain(self, error: BaseException) -> CarexError:
        """What a failed attempt means for people; pika's own text is often empty or a riddle."""
        causes = list(_causes(error))
        text = " ".join(str(cause) for cause in causes)
        settings = self._settings
        if "(403)" in text:
            return ConfigError(
                f"{self.place} refuses the user {settings.username}.",
                "Check rabbitmq.username and rabbitmq.password (RABBITMQ_USERNAME, RABBITMQ_PASSWORD).",
            )
        if "(530)" in text:
            return ConfigError(
                f"{self.place} has no virtual host {settings.vhost!r} for the user {settings.username}.",
                "Check rabbitmq.vhost, and the user's permissions: rabbitmqctl list_permissions -p VHOST",
            )
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return ConfigError(
                    f"{self.place}: its certificate is not trusted: {cause.verify_message.rstrip('.')}.",
                    "Name the authority that signed it in rabbitmq.ca_file, and its host in rabbitmq.host.",
                )
            if isinstance(cause, ssl.SSLError) and "WRONG_VERSION" in str(cause):
                return ConfigError(f"{self.place} does not speak TLS.", "Set rabbitmq.tls to false, or use port 5671.")
            if isinstance(cause, OSError):
                return Unreachable(
                    f"{self.place}: {cause.strerror or cause}.", "Check rabbitmq.host and rabbitmq.port."
                )
        if "EOF" in text or "timeout" in text.lower():
            return Unreachable(
                f"{self.place} does not speak AMQP, or is just starting.",
                "Check the port, and rabbitmq.tls: 5672 is plain, 5671 is TLS, 15672 is not AMQP.",
            )
        return Unreachable(f"{self.place}: {text or type(error).__name__}.")


def _causes(error: BaseException) -> Iterator[Any]:
    """What lies behind an exception of pika's, innermost first: it wraps them in attributes and arguments."""
    inner = [*getattr(error, "exceptions", ()), getattr(error, "exception", None), *error.args]
    for each in inner:
        if isinstance(each, BaseException):
            yield from _causes(each)
    yield error
