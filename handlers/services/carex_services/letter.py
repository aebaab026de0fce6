"""A mail: what a task says about it, and the bytes and the envelope that become of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from carex import Task
from carex_services.addresses import parse
from carex_services.settings import Settings
from carex_services.templates import Filled, fill

MOST_RECIPIENTS = 100
"""Every server takes so many (RFC 5321, 4.5.3.1.8); some refuse the rest of a longer list."""
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _texts(value: Any) -> Any:
    return () if value in (None, "") else [value] if isinstance(value, str) else value


# A process has null where nothing was filled in.
Addresses = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


@dataclass(frozen=True)
class Attachment:
    """A file: its content in base64, or its path within the folder of the setting mail_attachments."""

    name: Text = ""
    content: Text = ""
    path: Text = ""
    type: Text = ""


@dataclass(frozen=True)
class Letter:
    """The mail to send. Addresses are a list, or a text with commas; what a template gives can be given here too."""

    to: Addresses
    subject: Text = ""
    text: Text = ""
    html: Text = ""
    cc: Addresses = ()
    bcc: Addresses = ()
    reply_to: Addresses = ()
    attachments: tuple[Attachment, ...] = ()
    template: Text = ""
    template_vars: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Envelope:
    """A mail ready to go. `kept_back` are the recipients to whom the settings let nothing go."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    kept_back: tuple[str, ...]
    content: bytes = field(repr=False)
    utf8: bool
    """An address is not ASCII: the server has to know SMTPUTF8."""


def mark_of(task: Task) -> str:
    """What tells this work from all other: the same for every attempt, and for each time the engine sends it again."""
    mark = task.key or task.id
    return mark if _ID.fullmatch(mark) else hashlib.sha256(mark.encode()).hexdigest()


def seal(letter: Letter, task: Task, settings: Settings) -> Envelope:
    """Put a mail together; reads templates and files. Raises ValueError for what cannot be sent."""
    if settings.mail_from is None:
        raise ValueError("mail_from is not set")
    sender = parse(settings.mail_from)[0]
    to, cc, bcc = (parse(each) for each in (letter.to, letter.cc, letter.bcc))
    everybody = tuple(dict.fromkeys(each.addr_spec for each in (*to, *cc, *bcc)))
    if not 1 <= len(everybody) <= MOST_RECIPIENTS:
        raise ValueError(f"a mail has 1 to {MOST_RECIPIENTS} recipients, not {len(everybody)}")
    allowed = tuple(each for each in everybody if _allowed(each, settings))
    utf8 = not "".join((sender.addr_spec, *(each.addr_spec for each in (*to, *cc)), *allowed)).isascii()

    message = EmailMessage(policy=(SMTPUTF8 if utf8 else SMTP).clone(cte_type="7bit"))
    message_id = f"<carex.{mark_of(task)}@{sender.domain}>"
    for name, addresses in (("From", (sender,)), ("To", to), ("Cc", cc), ("Reply-To", parse(letter.reply_to))):
        if addresses:
            message[name] = addresses
    message["Date"] = formatdate()
    message["Message-ID"] = message_id
    message["X-Carex-Key"] = mark_of(task)
    message["Auto-Submitted"] = "auto-generated"  # nobody's absence note answers to it (RFC 3834)
    _write(message, letter, settings)
    content = message.as_bytes()
    if len(content) > settings.mail_max_bytes:
        raise ValueError(f"the mail has {len(content)} bytes, and mail_max_bytes allows {settings.mail_max_bytes}")
    kept_back = tuple(each for each in everybody if each not in allowed)
    return Envelope(message_id, sender.addr_spec, allowed, kept_back, content, utf8)


def _allowed(address: str, settings: Settings) -> bool:
    return any(fnmatchcase(address.lower(), pattern.lower()) for pattern in settings.mail_recipients)


def _write(message: EmailMessage, letter: Letter, settings: Settings) -> None:
    filled = Filled("", "", "")
    if letter.template:
        if settings.mail_templates is None:
            raise ValueError("templates need the setting mail_templates, the folder where they are")
        filled = fill(settings.mail_templates, letter.template, letter.template_vars)
    text, page = letter.text or filled.text, letter.html or filled.html
    if not text.strip() and not page.strip():
        raise ValueError("there is nothing in it: give text, html or template")
    message["Subject"] = letter.subject or filled.subject
    if text.strip():
        message.set_content(text)
    if page.strip():
        (message.add_alternative if text.strip() else message.set_content)(page, subtype="html")
    for attachment in letter.attachments:
        name, content = _content(attachment, settings)
        kind = attachment.type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        if not _TYPE.fullmatch(kind):
            raise ValueError(f"attachment {name!r}: {kind[:60]!r} is not a media type such as application/pdf")
        maintype, _, subtype = kind.partition("/")
        if maintype in ("multipart", "message"):
            raise ValueError(f"attachment {name!r}: {kind} is not for files")
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)


def _content(attachment: Attachment, settings: Settings) -> tuple[str, bytes]:
    """The attachment's name and bytes."""
    name = attachment.name or Path(attachment.path).name
    if not name or not name.isprintable() or "/" in name or "\\" in name:
        raise ValueError(f"attachment {name[:60]!r}: give it a name without slashes")
    if bool(attachment.content) == bool(attachment.path):
        raise ValueError(f"attachment {name!r}: give either its content, in base64, or its path")
    if attachment.path:
        return name, _file(name, attachment.path, settings)
    try:
        return name, base64.b64decode(attachment.content, validate=True)
    except binascii.Error:
        raise ValueError(f"attachment {name!r}: its content is not base64") from None


def _file(name: str, path: str, settings: Settings) -> bytes:
    if settings.mail_attachments is None:
        raise ValueError(f"attachment {name!r}: files need the setting mail_attachments, the folder they are in")
    folder = settings.mail_attachments.resolve()
    try:
        found = (folder / path).resolve()
        if not found.is_relative_to(folder) or not found.is_file():
            raise ValueError(f"attachment {name!r}: there is no such file in mail_attachments")
        if found.stat().st_size > settings.mail_max_bytes:
            raise ValueError(f"attachment {name!r}: it is larger than mail_max_bytes")
        return found.read_bytes()
    except OSError as error:
        raise ValueError(f"attachment {name!r} cannot be read: {error.strerror}") from None
