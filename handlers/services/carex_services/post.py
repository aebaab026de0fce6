"""The mail server: one connection for each mail. This file brings aiosmtplib.

What happened before the server was sent the message is known: nobody got anything. From there on a lost connection
leaves open whether it was accepted, which is `Unknown`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiosmtplib
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
)

from carex import Wait
from carex_services.letter import Envelope
from carex_services.settings import Settings

AGAIN = 30.0
"""Seconds until a server that cannot now is asked again."""
MENDED = 60.0
"""Seconds until it is asked again after a person had something to mend."""
_TLS_PORT = 465
_BROKEN = (SMTPException, OSError, asyncio.TimeoutError)


class Refused(Exception):
    """The server took nothing: what it said about each recipient, or, under "", about the message."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{who}: {text}".removeprefix(": ") for who, text in answers.items()))
        self.answers = dict(answers)

    @property
    def for_good(self) -> bool:
        return all(text.startswith("5") for text in self.answers.values())


class Unknown(Exception):
    """The message was sent, and no answer came."""


class Post:
    """Delivers mail. Raises Wait for a server that cannot be used now, whatever the mail."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.smtp_connections)
        self._tls: ssl.SSLContext | None = None
        self._own_name: str | None = None  # finding it out may take a slow look-up, so once is enough

    @property
    def name(self) -> str:
        """The server, for people."""
        return f"{self._settings.smtp_host}:{self._settings.smtp_port}"

    @property
    def is_set_up(self) -> bool:
        return self._settings.smtp_host is not None

    async def deliver(self, envelope: Envelope) -> dict[str, str]:
        """Send a mail to all its recipients; return what the server said about those that it refused.

        Raises Refused if it took none of them, or not the message; Unknown if nobody can know; Wait.
        """
        async with self._places, self.session() as smtp:
            refused = await self._address(smtp, envelope)
            try:
                await smtp.data(envelope.content, timeout=10 * self._settings.smtp_timeout)
            except SMTPDataError as error:
                if error.code == 421:
                    raise Wait(f"{self.name}: {_said(error)}", AGAIN) from None
                raise Refused({"": _said(error)}) from None
            except _BROKEN as error:
                raise Unknown(f"{self.name}: {_plain(error)}") from None
            return refused

    @asynccontextmanager
    async def session(self) -> AsyncIterator[SMTP]:
        """A connection, greeted, encrypted and logged in as the settings say."""
        settings = self._settings
        if settings.smtp_host is None:
            raise Wait("No mail server: set smtp_host under [plugins.services].", AGAIN)
        if self._tls is None and settings.smtp_security != "none":
            self._tls = await asyncio.to_thread(_context, settings)
        tls = settings.smtp_security == "tls" or (
            settings.smtp_security == "starttls" and settings.smtp_port == _TLS_PORT
        )
        smtp = SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            local_hostname=self._own_name,
            timeout=settings.smtp_timeout,
            use_tls=tls,
            start_tls=settings.smtp_security == "starttls" and not tls,
            tls_context=self._tls,
        )
        try:
            await smtp.connect()
            if smtp.is_ehlo_or_helo_needed:
                with contextlib.suppress(
                    SMTPHeloError
                ):  # one that knows only HELO is greeted so with the first command
                    await smtp.ehlo()
            self._own_name = smtp.local_hostname
        except _BROKEN as error:
            raise self._unusable(error) from None
        try:
            yield smtp
        finally:
            with contextlib.suppress(*_BROKEN):
                await smtp.quit(timeout=2.0)
            smtp.close()

    async def _address(self, smtp: SMTP, envelope: Envelope) -> dict[str, str]:
        """Say who it is from and to whom; return the refusals. Whatever breaks here is a Wait: nothing is sent yet."""
        encoding = "utf-8" if envelope.utf8 else "ascii"
        refused: dict[str, str] = {}
        try:
            options = [f"SIZE={len(envelope.content)}"] if smtp.supports_extension("size") else []
            if envelope.utf8:
                if not smtp.supports_extension("smtputf8"):
                    raise Refused({"": "553 5.6.7 an address is not ASCII, and the server does not know SMTPUTF8"})
                options.append("SMTPUTF8")
            await smtp.mail(envelope.sender, options=options, encoding=encoding)
            for recipient in envelope.recipients:
                try:
                    await smtp.rcpt(recipient, encoding=encoding)
                except SMTPRecipientRefused as error:
                    if error.code in (421, 530):  # it is closing, or wants a login: not about this recipient
                        raise
                    refused[recipient] = _said(error)
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code == 552:  # larger than the server takes
                raise Refused({"": _said(error)}) from None
            raise self._unusable(error) from None
        except _BROKEN as error:
            raise self._unusable(error) from None
        if len(refused) == len(envelope.recipients):
            raise Refused(refused)
        return refused

    def _unusable(self, error: BaseException) -> Wait:
        cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
        if isinstance(cause, ssl.SSLError):
            return Wait(f"{self.name}: TLS: {_plain(cause)}; see smtp_security, smtp_port and ca_file.", MENDED)
        if isinstance(error, SMTPResponseException):
            text = f"{self.name}: {_said(error)}"
            if error.code < 500:
                return Wait(text, AGAIN)
            if isinstance(error, SMTPAuthenticationError):
                return Wait(f"{text}; see smtp_username and smtp_password.", MENDED)
            if isinstance(error, aiosmtplib.SMTPSenderRefused):
                return Wait(f"{text}; see mail_from, smtp_username and smtp_password.", MENDED)
            return Wait(f"{text}; see smtp_host.", MENDED)
        if isinstance(error, OSError):
            return Wait(f"{self.name} cannot be reached: {_plain(error)}", AGAIN)
        return Wait(f"{self.name}: {_plain(error)} See smtp_security.", MENDED)


def _context(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    return context


def _said(error: SMTPResponseException) -> str:
    """The server's answer in one line, with its code first."""
    return f"{error.code} {' '.join(str(error.message).split())}"[:500]


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
