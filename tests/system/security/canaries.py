"""A unique secret for every setting that can hold one, and who finds them again, however they were written down."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel

from carex.registry import load
from carex.settings import SECTIONS, env_name

RICH = "/\"+%&'\\"
"""What has to be written otherwise in an address, in JSON, in Python."""


def marker(key: str) -> str:
    """What is in the secret of this setting, and nowhere else: it looks the same in an address, in JSON, in a log."""
    return f"Kanari{hashlib.sha256(key.encode()).hexdigest()[:18]}"


def models() -> dict[str, type[BaseModel]]:
    """What describes the settings, by table: Carex's own, and the installed plugins'."""
    plugins = {each.plugin.name: each.plugin.settings for each in load().loaded}
    return {**SECTIONS, **{f"plugins.{name}": model for name, model in plugins.items() if model}}


def secret_settings(models: Mapping[str, type[BaseModel]]) -> set[str]:
    """Every setting that can hold a secret: a SecretStr, and an address, which is `repr=False` for that reason."""
    return {f"{table}.{name}" for table, model in models.items() for name in _secret_fields(model)}


def _secret_fields(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if "SecretStr" in repr(info.annotation) or not info.repr:
            yield name
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from (f"{name}.{each}" for each in _secret_fields(inner))


def canaries(host: str) -> dict[str, str]:
    """The settings with their secrets, all of them pointed at `host`, by key."""

    def plain(key: str) -> str:
        return marker(key)

    def rich(key: str) -> str:
        return marker(key) + RICH

    def userinfo(key: str) -> str:
        return f"somebody:{quote(rich(key), safe='')}@"

    return {
        "queue.url": f"redis://{userinfo('queue.url')}{host}/0",
        "server.intake_token": plain("server.intake_token"),
        "server.admin_token": rich("server.admin_token"),
        "camunda.base_url": f"http://{userinfo('camunda.base_url')}{host}/engine-rest",
        "camunda.auth_password": rich("camunda.auth_password"),
        "camunda.auth_token": plain("camunda.auth_token"),
        "rabbitmq.password": rich("rabbitmq.password"),
        "rabbitmq.management_url": f"http://{userinfo('rabbitmq.management_url')}{host}",
        "plugins.bitrix24.webhook": f"http://{host}/rest/1/{plain('plugins.bitrix24.webhook')}/",
        "plugins.bitrix24.application_token": rich("plugins.bitrix24.application_token"),
        "plugins.onec.password": rich("plugins.onec.password"),
        "plugins.openproject.token": rich("plugins.openproject.token"),
        "plugins.services.smtp_password": plain("plugins.services.smtp_password"),
        "plugins.services.http_headers": json.dumps(
            {f"http://{host}": f"Authorization: Bearer {plain('plugins.services.http_headers')}"}
        ),
    }


NOT_AT_ONCE = {"queue.url", "camunda.base_url", "camunda.auth_token"}
"""They exclude others, or put an end to everything: the scenarios that are about them set them."""


def environment(host: str) -> dict[str, str]:
    """Every setting that can be set beside the others, with its canary, and what they need to be of use."""
    given = canaries(host)
    return {
        **{env_name(key): value for key, value in given.items() if key not in NOT_AT_ONCE},
        "CAMUNDA_BASE_URL": f"http://{host}/engine-rest",
        "CAMUNDA_AUTH_USERNAME": "bridge",
        "RABBITMQ_HOST": host.partition(":")[0],
        "RABBITMQ_PORT": host.partition(":")[2],
        "CAREX_PLUGINS__ONEC__URL": f"http://{host}/ut",
        "CAREX_PLUGINS__ONEC__USER": "carex",
        "CAREX_PLUGINS__OPENPROJECT__URL": f"http://{host}",
        "CAREX_PLUGINS__SERVICES__HTTP_HOSTS": f"http://{host}",
        "CAREX_PLUGINS__SERVICES__SMTP_USERNAME": "mailer",
        "CAREX_PLUGINS__SERVICES__MAIL_FROM": "carex@example.com",
        "CAREX_PLUGINS__LEAKY__KEY": marker("leaky") + RICH,
        "LOG_LEVEL": "DEBUG",
    }


def _needles() -> dict[bytes, str]:
    found = {}
    for key in [*canaries("h"), "leaky"]:
        word = marker(key).encode()
        found[word.lower()] = key
        for before in range(3):  # so many bytes stand before it in its group of three
            whole = b64encode(bytes(before) + word)
            found[whole[-(-before * 8 // 6) : (before + len(word)) * 8 // 6]] = f"{key}, in base64"
        found[word.hex().encode()] = f"{key}, in hexadecimal"
    return found


_NEEDLES = _needles()


def find(data: bytes) -> list[str]:
    """Whose secrets are in there, as text of any case, in base64 with whatever around it, or in hexadecimal."""
    lower = data.lower()
    return sorted({key for needle, key in _NEEDLES.items() if needle in data or needle in lower})


def excerpt(data: bytes) -> str:
    """The place of the first one, for whoever has to mend it."""
    at = min((data.lower().find(needle.lower()) for needle in _NEEDLES if needle.lower() in data.lower()), default=0)
    return data[max(at - 150, 0) : at + 150].decode(errors="replace")


def find_in(folder: Path, besides: tuple[str, ...] = (".env", "carex.toml")) -> dict[str, list[str]]:
    """What is found in the raw bytes of every file below a folder."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not (path.parent == folder and path.name in besides)
    }
    return found_in(files)


def found_in(said: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Where something was found: what, and around it."""
    return {name: [*find(data), excerpt(data)] for name, data in said.items() if find(data)}
