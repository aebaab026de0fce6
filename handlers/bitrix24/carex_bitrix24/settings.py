"""The table `[plugins.bitrix24]`."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

# https://portal/rest/USER/SECRET/, with or without what people copy along with it: a slash, a method, `.json`, or
# the `api/` of REST 3.
_WEBHOOK = re.compile(
    r"(?P<portal>https?://[^/?#\s@\\]+(?:/[^/?#\s]+)*?)/rest/(?:api/)?"
    r"(?P<user>[1-9][0-9]*)/(?P<secret>[A-Za-z0-9_-]+)(?:/[A-Za-z0-9._]*)?",
    re.IGNORECASE,
)
_SHAPE = "expected https://PORTAL/rest/USER/SECRET/, as Bitrix24 shows it under Developer resources → Inbound webhook"


class Settings(BaseModel):
    """Where the portal is, and how long to wait for it. Times are seconds."""

    # An error never shows what was typed: it may be a secret with a slip in it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    webhook: SecretStr | None = Field(
        default=None,
        description="The portal's inbound webhook, https://PORTAL/rest/USER/SECRET/. All of it is a secret.",
        json_schema_extra={"env": "WEBHOOK_CAREX"},
    )
    timeout: float = Field(
        default=65.0,
        gt=0,
        description="How long an answer may take. A portal in the cloud may work 60 s on one request.",
    )
    connect_timeout: float = Field(default=5.0, gt=0, description="How long a connection may take to open.")
    requests_per_second: float = Field(
        default=2.0, gt=0, description="How many requests a second the portal allows in the long run; Enterprise: 5."
    )
    burst: float = Field(
        default=50.0, ge=1, description="How many requests at once the portal allows after a pause; Enterprise: 250."
    )
    join: bool = Field(
        default=True, description="Whether calls that have to wait are joined, up to 50 of them in one request."
    )
    if_changed: Literal["keep", "force"] = Field(
        default="keep",
        description="When a person was faster and gave the item to somebody: leave it, or give it to who was chosen.",
    )
    holders: tuple[int, ...] = Field(
        default=(),
        description="Employees, beside the creator and the webhook's owner, whose items are still to be given.",
    )
    contacts: Literal["given", "all", "none"] = Field(
        default="given",
        description="Which contacts go with a deal: those the robot names, those that it has, or none.",
    )
    notify: bool = Field(default=False, description="Whether to notify the new responsible person.")
    comment: bool = Field(default=False, description="Whether to say in the timeline who was chosen.")
    application_token: SecretStr | None = Field(
        default=None,
        description="The token of the portal's outbound webhook, a secret; events without it are refused.",
    )

    @field_validator("webhook", mode="before")
    @classmethod
    def _normalise(cls, value: Any) -> SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is None or (isinstance(text, str) and not text.strip()):
            return None
        found = _WEBHOOK.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise PydanticCustomError("webhook", _SHAPE)
        return SecretStr(f"{found['portal']}/rest/{found['user']}/{found['secret']}/")
