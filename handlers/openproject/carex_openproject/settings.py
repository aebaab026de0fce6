"""The table `[plugins.openproject]`."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

# Where OpenProject is, with or without what people copy along with it: a slash, or the path of the API.
_URL = re.compile(r"(https?://[^/?#\s@\\]+(?:/[^/?#\s]+)*?)(?:/api/v3)?/*", re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+")


class Settings(BaseModel):
    """Where OpenProject is and who asks it. Times are seconds."""

    # An error never shows what was typed: it may be a secret with a slip in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str | None = Field(default=None, description="Where OpenProject is, as in https://openproject.example.com")
    token: SecretStr | None = Field(
        default=None,
        description="An API token, a secret: My account → Access tokens → API of the user who does it all.",
    )
    auth: Literal["basic", "bearer"] = Field(
        default="basic", description="How the token is sent: basic works with every server, bearer with new ones."
    )
    timeout: float = Field(default=60.0, gt=0, description="How long an answer may take.")
    connect_timeout: float = Field(default=5.0, gt=0, description="How long a connection may take to open.")
    notify: bool = Field(default=True, description="Whether OpenProject tells watchers about changes by Carex.")
    marker_field: str | None = Field(
        default=None,
        pattern=r"^customField[1-9][0-9]*$",
        description="A text field of work packages that keeps the task's mark; by default the description does.",
    )
    settle: float = Field(
        default=5.0, ge=0, description="How long after a lost answer to look whether OpenProject did it."
    )
    users: dict[int, int] = Field(
        default_factory=dict, description="Which user of OpenProject each employee is, by their ids."
    )

    @field_validator("url")
    @classmethod
    def _at_its_root(cls, value: str | None) -> str | None:
        if value is None or not value.strip():
            return None
        found = _URL.fullmatch(value.strip())
        if found is None:
            raise PydanticCustomError("url", "expected an address such as https://openproject.example.com")
        return found[1]

    @field_validator("token", mode="before")
    @classmethod
    def _without_spaces(cls, value: Any) -> SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is None or (isinstance(text, str) and not text.strip()):
            return None
        if not isinstance(text, str) or not _TOKEN.fullmatch(text.strip()):
            raise PydanticCustomError("token", "expected the API token as OpenProject showed it, without spaces")
        return SecretStr(text.strip())
