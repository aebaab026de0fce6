"""The table `[plugins.services]`."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from carex_services.addresses import parse
from carex_services.hosts import Entry

_HEADER = re.compile(r"(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*(?P<value>[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")


class Settings(BaseModel):
    """The mail server and what may be mailed, the hosts that may be called. Times are seconds."""

    # An error never shows what was typed: it may be a secret with a slip in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    smtp_host: str | None = Field(default=None, min_length=1, description="The mail server; without one mail waits.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port: 587, 465 for TLS, or 25.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="STARTTLS is demanded, never only tried; port 465 speaks TLS from the start."
    )
    smtp_username: str | None = Field(default=None, min_length=1, description="Who logs in; without one nobody does.")
    smtp_password: SecretStr | None = Field(default=None, description="The password, a secret.")
    smtp_timeout: float = Field(
        default=60.0, gt=0, le=60, description="How long each answer may take; that to the message ten times as long."
    )
    smtp_connections: int = Field(default=4, ge=1, description="How many connections one process may have at a time.")
    mail_from: str | None = Field(default=None, description="Who all mail is from.")
    mail_templates: Path | None = Field(default=None, description="The folder of the templates.")
    mail_attachments: Path | None = Field(default=None, description="The folder from which files may be attached.")
    mail_max_bytes: int = Field(default=10_000_000, ge=1000, description="How large a mail may be, as it is sent.")
    mail_recipients: tuple[str, ...] = Field(default=("*",), description="To whom mail may go, as patterns.")
    mail_resend: bool = Field(
        default=True, description="Whether mail of which nobody knows if it was accepted is sent once more."
    )
    http_hosts: tuple[str, ...] = Field(
        default=(), description="What may be called: api.example.com, *.example.com:8443, http://10.0.0.5:8080."
    )
    http_networks: tuple[str, ...] = Field(
        default=(), description="Private networks in which the names among these hosts may be, such as 10.0.0.0/8."
    )
    http_headers: dict[str, SecretStr] = Field(
        default={}, description="A header that a host of http_hosts is sent, a secret: Authorization: Bearer TOKEN."
    )
    http_timeout: float = Field(default=30.0, gt=0, le=280, description="How long a request may take, all of it.")
    http_max_bytes: int = Field(default=500_000, ge=1, le=1_000_000, description="How large an answer may be.")
    ca_file: Path | None = Field(
        default=None, description="The authority that signed the servers' certificates, if the system does not know it."
    )

    @field_validator("mail_from")
    @classmethod
    def _is_one_address(cls, value: str | None) -> str | None:
        if value is not None and len(parse(value)) != 1:
            raise ValueError("expected one address")
        return value

    @field_validator("mail_templates", "mail_attachments", "ca_file")
    @classmethod
    def _is_full(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("expected a full path, from / on")
        return value

    @field_validator("http_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            Entry.of(each)
        return value

    @field_validator("http_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each)
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.smtp_host and not self.mail_from:
            raise ValueError("smtp_host needs mail_from, the address that mail is from")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("smtp_username and smtp_password go together")
        if self.smtp_username and self.smtp_security == "none":
            raise ValueError("smtp_security = none would show the password to everybody on the way")
        for host, line in self.http_headers.items():
            if host not in self.http_hosts:
                raise ValueError(f"http_headers names {host!r}, which is not written so in http_hosts")
            if not _HEADER.fullmatch(line.get_secret_value()):
                raise ValueError(f"http_headers of {host!r}: expected NAME: VALUE")
        return self

    def missing(self) -> str:
        """Which of the named folders and files is not there; empty if all are."""
        named = {
            "mail_templates": self.mail_templates,
            "mail_attachments": self.mail_attachments,
            "ca_file": self.ca_file,
        }
        wrong = [f"{name}: there is no {path}" for name, path in named.items() if path and not path.exists()]
        return "; ".join(wrong)

    def header_for(self, entry: str) -> dict[str, str]:
        """What a host is sent beside the request's own headers, by its entry in `http_hosts`."""
        line = self.http_headers.get(entry)
        found = _HEADER.fullmatch(line.get_secret_value()) if line else None
        return {found["name"]: found["value"]} if found else {}
