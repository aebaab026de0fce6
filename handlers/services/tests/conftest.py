"""Stand-ins on loopback: aiosmtpd, which says what it is told to say, and a web server that is up to no good."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from carex_services import plugin
from loguru import logger

from carex.task import Outcome
from carex.testing import call


@dataclass
class MailServer:
    """A mail server, and what it took. `says` is its answer to a command, or to RCPT for one address."""

    says: dict[str, str] = field(default_factory=dict)
    hangs_up: str = ""
    """The command at which it goes away without a word: MAIL, or DATA, when it has accepted the message."""
    login: tuple[bytes, bytes] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """aiosmtpd's own."""
    asked: list[str] = field(default_factory=list)
    """The addresses of the RCPTs."""
    taken: list[Envelope] = field(default_factory=list)
    port: int = 0
    connected: int = 0
    most_connected: int = 0

    @property
    def letters(self) -> list[EmailMessage]:
        return [message_from_bytes(each.content or b"", policy=policy.default) for each in self.taken]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        if self.hangs_up == "MAIL":
            server.transport.abort()
        return self.says.get("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.append(address)
        said = self.says.get(address, "250 OK")
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        said = self.says.get("DATA", "250 OK")
        if said.startswith("250"):
            self.taken.append(envelope)
        if self.hangs_up == "DATA":
            server.transport.abort()
        return said

    async def handle_exception(self, error: Exception) -> str:
        return "451 internal confusion"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == self.login, handled=False)

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["MailServer"]:
        """On a free port; `tls` from the first byte on."""

        class Counted(SMTP):
            def connection_made(inner, transport: asyncio.BaseTransport) -> None:
                if inner.session is None:  # STARTTLS makes the connection anew
                    self.connected += 1
                    self.most_connected = max(self.most_connected, self.connected)
                super().connection_made(transport)

            def connection_lost(inner, error: Exception | None) -> None:
                self.connected -= 1
                super().connection_lost(error)

        options = dict(self.options)
        if self.login is not None:
            options.update(authenticator=self.authenticate, auth_required=True)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Counted(self, hostname="mail.test", **options), "127.0.0.1", 0, ssl=tls
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    def settings(self, **more: Any) -> dict[str, Any]:
        plain = {"smtp_host": "127.0.0.1", "smtp_port": self.port, "smtp_security": "none", "smtp_timeout": 5.0}
        return {**plain, "mail_from": "Carex <carex@company.example>", **more}


@dataclass
class Mailing:
    """One attempt at `send_email` on a mail server, with settings, and with options of the server."""

    server: MailServer

    def __call__(
        self, settings: Mapping[str, Any] | None = None, attempt: int = 1, *, tls: Any = None, **letter: Any
    ) -> Outcome:
        return asyncio.run(self.send(settings, attempt, tls, **letter))

    async def send(self, settings: Mapping[str, Any] | None, attempt: int, tls: Any, **letter: Any) -> Outcome:
        given = {"to": "anna@customer.example", "subject": "Hello", "text": "Good morning", **letter}
        async with self.server.serve(tls):
            known = self.server.settings(**(settings or {}))
            return await call(plugin.handlers["send_email"], given, settings=known, id="task-1", attempt=attempt)


@pytest.fixture
def mail() -> Mailing:
    return Mailing(MailServer())


@dataclass(frozen=True)
class Certificates:
    """A server's certificate for 127.0.0.1 and localhost, and the file of who signed it."""

    server: ssl.SSLContext
    ca_file: Path


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return Certificates(context, tmp_path / "ca.pem")


@dataclass
class WebServer:
    """A web server, and the requests that it got. `answer` says what it does with each."""

    answer: Callable[[web.Request], Any] = lambda _: web.Response()
    got: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["WebServer"]:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            self.bodies.append(await request.read())
            self.got.append(request)
            answer = self.answer(request)
            return await answer if asyncio.iscoroutine(answer) else answer

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            with contextlib.suppress(Exception):
                await runner.cleanup()


@dataclass
class Asking:
    """One attempt at `http_request` on a web server that may be called; PORT in a text is its port."""

    server: WebServer

    def __call__(
        self,
        answer: Callable[[web.Request], Any] = lambda _: web.json_response({"ok": True}),
        settings: Mapping[str, Any] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        id: str = "task-1",
        **request: Any,
    ) -> Outcome:
        self.server.answer = answer

        async def scenario() -> Outcome:
            async with self.server.serve(tls):
                given = {"http_hosts": ["http://127.0.0.1:PORT"], **(settings or {})}
                wanted = {"url": "http://127.0.0.1:PORT/orders", **request}
                known, asked = (_with_port(each, self.server.port) for each in (given, wanted))
                return await call(plugin.handlers["http_request"], asked, settings=known, id=id)

        return asyncio.run(scenario())


@pytest.fixture
def ask() -> Asking:
    return Asking(WebServer())


def _with_port(value: Any, port: int) -> Any:
    if isinstance(value, str):
        return value.replace("PORT", str(port))
    if isinstance(value, dict):
        return {_with_port(name, port): _with_port(each, port) for name, each in value.items()}
    return [_with_port(each, port) for each in value] if isinstance(value, list) else value


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged during the test, with whatever is bound to it."""
    written: list[str] = []
    sink = logger.add(written.append, level="TRACE", format="{level} {message} {extra}", diagnose=True)
    stand_in = logging.getLogger("mail.log")  # aiosmtpd's own, which may be led into ours; it writes down all it hears
    spoke, stand_in.propagate = stand_in.propagate, False
    yield written
    stand_in.propagate = spoke
    logger.remove(sink)
