"""The table `[plugins.onec]`."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

# Where the infobase is published, with or without what people copy along with it: the path of OData or of an HTTP
# service, the web client's language, a slash.
_URL = re.compile(
    r"(?P<url>https?://[^/?#\s@\\]+(?:/[^/?#\s]+?)*?)(?:/odata(?:/.*)?|/hs(?:/.*)?|/[a-z]{2}_[A-Z]{2})?/*"
)
_SERVICE = re.compile(r"[\w\-.~]+(?:/[\w\-.~]+)*")


class Settings(BaseModel):
    """Where the infobase is published, who asks it, and how many sessions it may cost. Times are seconds."""

    # An error never shows what was typed: it may be a secret with a slip in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str | None = Field(
        default=None, description="Where the infobase is published, as in https://1c.example.com/ut"
    )
    user: str = Field(default="", description="A user of the infobase, whose rights hold for all that Carex does.")
    password: SecretStr | None = Field(default=None, description="The user's password, a secret; some have none.")
    timeout: float = Field(
        default=120.0, gt=0, description="How long an answer may take; the first after a pause takes a while."
    )
    connect_timeout: float = Field(default=5.0, gt=0, description="How long a connection may take to open.")
    sessions: int = Field(
        default=1, ge=1, le=50, description="How many sessions each worker process may have open; each takes a licence."
    )
    session_idle: float = Field(
        default=15.0, gt=0, description="How long a session without work is kept; 1C itself ends it after 20 s."
    )
    ping: str | None = Field(
        default=None,
        description="A path below hs/ that is cheap to read: it opens the session for a write that has none yet.",
    )
    sync_service: str = Field(default="carex/v1/sync", description="The HTTP service for 1c_sync_data, below hs/.")
    time_zone: str | None = Field(
        default=None, description="The time zone of the 1C server, whose dates have none, as in Europe/Moscow."
    )
    settle: float = Field(default=5.0, ge=0, description="How long after a lost answer to look whether 1C did it.")

    @field_validator("url")
    @classmethod
    def _at_its_root(cls, value: str | None) -> str | None:
        if value is None or not value.strip():
            return None
        found = _URL.fullmatch(value.strip())
        if found is None:
            raise PydanticCustomError("url", "expected an address such as https://1c.example.com/ut")
        return found["url"]

    @field_validator("user")
    @classmethod
    def _without_colon(cls, value: str) -> str:
        if ":" in value:
            raise PydanticCustomError("user", "1C cannot be told a user name with a colon in it")
        return value

    @field_validator("ping", "sync_service")
    @classmethod
    def _below_hs(cls, value: str | None) -> str | None:
        if value is None:
            return None
        path = value.strip("/").removeprefix("hs/")
        if not _SERVICE.fullmatch(path) or ".." in path:
            raise PydanticCustomError("path", "expected a path below hs/, such as carex/v1/sync")
        return path

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, value: Any) -> Any:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ValueError, OSError, KeyError):
                raise PydanticCustomError("time_zone", "expected a time zone such as Europe/Moscow") from None
        return value
