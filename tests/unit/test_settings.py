"""Settings: precedence, origins, complaints, and that no secret shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

from carex import registry
from carex.errors import ConfigError
from carex.settings import SECTIONS, Row, Settings, load, problems

REFERENCE = Path(__file__).parents[2] / "carex.toml"
WEBHOOK = "https://portal.example/rest/1/s3cr3tw0rd/"


class Portal(BaseModel, extra="forbid"):
    webhook: SecretStr | None = Field(None, json_schema_extra={"env": "WEBHOOK_CAREX"})
    stages: list[str] = Field(default=["NEW"])

    @field_validator("webhook", mode="before")
    @classmethod
    def _must_be_https(cls, value: str) -> str:
        if not value.startswith("https://"):
            raise ValueError(f"{value} is not an https:// URL")
        return value


class Mail(BaseModel, extra="forbid"):
    host: str


def loaded(
    home: Path, environ: Mapping[str, str] | None = None, toml: str = "", dotenv: str = "", **flags: Any
) -> Settings:
    (home / "carex.toml").write_text(toml, encoding="utf-8")
    (home / ".env").write_text(dotenv, encoding="utf-8")
    return load(home, None, {key.replace("__", "."): value for key, value in flags.items()}, environ or {})


def complaint(home: Path, environ: Mapping[str, str] | None = None, toml: str = "", dotenv: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(home, environ, toml, dotenv)
    return caught.value.message


def row(settings: Settings, key: str) -> Row:
    return next(row for row in settings.rows() if row.key == key)


def test_without_any_file_everything_has_its_default(tmp_path: Path) -> None:
    settings = load(tmp_path, None, {}, {})

    assert settings.queue.url == f"sqlite://{tmp_path}/data/queue.db"
    assert settings.worker.types == ("*",)
    assert {each.origin for each in settings.rows()} == {"default"}


PORTS = {
    "toml": "[server]\nport = 1",
    "dotenv": "\nCAREX_SERVER__PORT=2",
    "environ": {"CAREX_SERVER__PORT": "3"},
    "server__port": 4,
}


@pytest.mark.parametrize(
    ("sources", "port", "origin"),
    [
        (["toml"], 1, "carex.toml:2"),
        (["toml", "dotenv"], 2, ".env:2"),
        (["toml", "dotenv", "environ"], 3, "env CAREX_SERVER__PORT"),
        (["toml", "dotenv", "environ", "server__port"], 4, "flag --port"),
    ],
)
def test_the_nearer_source_wins_and_is_named(tmp_path: Path, sources: list[str], port: int, origin: str) -> None:
    settings = loaded(tmp_path, **{name: PORTS[name] for name in sources})  # type: ignore[arg-type]

    assert row(settings, "server.port") == Row("server.port", port, origin)


def test_a_flag_that_was_not_given_changes_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, server__port=None).server.port == 8000


@pytest.mark.parametrize("text", ["bitrix_*, send_email", '["bitrix_*", "send_email"]'])
def test_a_list_in_a_variable_is_json_or_separated_by_commas(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, {"CAREX_WORKER__TYPES": text}).worker.types == ("bitrix_*", "send_email")


def test_the_kept_names_work_and_those_of_parts_to_come_do_no_harm(tmp_path: Path) -> None:
    dotenv = "REDIS_URL=redis://localhost:6379/0\nLOG_LEVEL=info\nCAMUNDA_MAX_TASKS=10\nRABBITMQ_PASSWORD=x$Y\n"
    settings = loaded(tmp_path, {"CAREX_HOME": "/srv"}, dotenv=dotenv)

    assert settings.queue.url == "redis://localhost:6379/0"
    assert settings.log.level == "INFO"


def test_a_secret_can_be_kept_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    settings = loaded(tmp_path, {"CAREX_SERVER__ADMIN_TOKEN_FILE": "token"})

    assert settings.server.admin_token == SecretStr("from-a-file")
    assert row(settings, "server.admin_token").origin == "env CAREX_SERVER__ADMIN_TOKEN_FILE"


def test_an_empty_variable_counts_as_not_given(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"CAREX_SERVER__ADMIN_TOKEN": ""}).server.admin_token is None


def test_a_dollar_in_a_password_stays_a_dollar(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"HOME": "/root"}, dotenv="CAREX_SERVER__ADMIN_TOKEN='pa${HOME}ss'")

    assert settings.server.admin_token == SecretStr("pa${HOME}ss")


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"toml": "[server]\nprot = 1"}, "carex.toml:2: unknown setting server.prot. Did you mean server.port?"),
        ({"toml": "\n[sever]\nport = 1"}, "carex.toml:2: unknown setting sever. Did you mean server?"),
        ({"toml": '[server]\nport = "x"'}, "carex.toml:2: server.port: should be a valid integer"),
        ({"toml": "server.port = 70000"}, "carex.toml:1: server.port: should be less than or equal to 65535"),
        ({"toml": "[queue]\nlease = nan"}, "carex.toml:2: queue.lease: should be a finite number"),
        ({"toml": "server = 1"}, "carex.toml:1: server must be a table: [server]."),
        ({"toml": "[plugins]\nx = 1"}, "carex.toml:2: plugins.x must be a table: [plugins.x]."),
        ({"toml": "[server]\nport = \n"}, "carex.toml:2: not valid TOML: Invalid value."),
        ({"toml": '[server]\nadmin_token = ""'}, "carex.toml:2: server.admin_token: must not be empty"),
        ({"environ": {"CAREX_LOG__FORMAT": "xml"}}, "env CAREX_LOG__FORMAT: log.format: should be 'text' or 'json'"),
        (
            {"environ": {"CAREX_SERVER__PROT": "1"}},
            "env CAREX_SERVER__PROT: unknown setting CAREX_SERVER__PROT. Did you",
        ),
        ({"environ": {"CAREX_SERVER_PORT": "1"}}, "Did you mean CAREX_SERVER__PORT?"),
        ({"dotenv": "A=1\nwhat is this"}, ".env:2: this line is not NAME=value."),
        (
            {"environ": {"CAREX_SERVER__ADMIN_TOKEN_FILE": "gone"}},
            "CAREX_SERVER__ADMIN_TOKEN_FILE: the file named there",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, sources: dict[str, Any], expected: str) -> None:
    assert expected in complaint(tmp_path, **sources)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    found = complaint(tmp_path, {"CAREX_LOG__LEVEL": "loud"}, toml='[server]\nprot = 1\nport = "x"')

    assert len(found.splitlines()) == 3


def test_a_settings_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"other\.toml: there is no such file"):
        load(tmp_path, tmp_path / "other.toml", {}, {})


def test_a_plugin_reads_its_table_and_its_kept_name(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"WEBHOOK_CAREX": WEBHOOK}, toml='[plugins.portal]\nstages = ["WON"]')
    portal = settings.plugin("portal", Portal)

    assert portal.webhook == SecretStr(WEBHOOK)
    assert portal.stages == ["WON"]
    assert row(settings, "plugins.portal.webhook") == Row(
        "plugins.portal.webhook", "https://portal.example/rest/1/***/", "env WEBHOOK_CAREX"
    )


@pytest.mark.parametrize(
    ("environ", "toml", "expected"),
    [
        (
            {},
            "[plugins.mail]\nhots = 1",
            "carex.toml:2: unknown setting plugins.mail.hots. Did you mean plugins.mail.host?",
        ),
        (
            {},
            "",
            "plugins.mail.host is not set. Set CAREX_PLUGINS__MAIL__HOST in the environment or in .env, or host under",
        ),
        ({"CAREX_PLUGINS__MAIL__HOTS": "x"}, "", "Did you mean CAREX_PLUGINS__MAIL__HOST?"),
    ],
)
def test_a_plugins_mistake_is_named_with_its_place(
    tmp_path: Path, environ: dict[str, str], toml: str, expected: str
) -> None:
    settings = loaded(tmp_path, environ, toml)

    with pytest.raises(ConfigError, match=re.escape(expected)):
        settings.plugin("mail", Mail)


def test_an_error_never_shows_the_secret_it_is_about(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"WEBHOOK_CAREX": "http://canary-value"})

    with pytest.raises(ConfigError) as caught:
        settings.plugin("portal", Portal)

    assert "env WEBHOOK_CAREX: plugins.portal.webhook: *** is not an https:// URL." in str(caught.value)
    assert "canary" not in str(caught.value)


def test_shown_values_hold_no_secret(tmp_path: Path) -> None:
    environ = {"REDIS_URL": "redis://me:canary1@host/0", "CAREX_SERVER__ADMIN_TOKEN": "canary2"}
    settings = loaded(tmp_path, environ, toml='[plugins.other]\napi_key = "canary3"')

    shown = repr(settings.rows()) + repr(settings) + repr(settings.queue) + repr(settings.server)

    assert "redis://***@host/0" in shown
    assert "canary" not in shown


def test_the_secrets_are_known_also_inside_urls_and_before_their_plugin_loads(tmp_path: Path) -> None:
    environ = {"WEBHOOK_CAREX": WEBHOOK, "REDIS_URL": "redis://:p%40ssword@host/0"}
    settings = loaded(tmp_path, environ, dotenv="CAREX_SERVER__INTAKE_TOKEN=token-in-url")

    assert settings.secrets() == {"s3cr3tw0rd", "p%40ssword", "p@ssword", "token-in-url"}


def test_a_checked_plugins_secrets_are_secrets(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"WEBHOOK_CAREX": "https://portal.example/hook?key=abcdef"})
    settings.plugin("portal", Portal)

    assert settings.secrets() == {"https://portal.example/hook?key=abcdef"}
    assert row(settings, "plugins.portal.webhook").value == "***"


class Hosts(BaseModel, extra="forbid"):
    headers: dict[str, SecretStr] = {}
    folder: Path = Path("/srv")


def test_secrets_in_a_plugins_table_are_secrets_and_a_path_is_text(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"CAREX_PLUGINS__HOSTS__HEADERS": '{"api.example": "Bearer canary"}'})
    settings.plugin("hosts", Hosts)

    assert settings.secrets() == {"Bearer canary"}
    assert row(settings, "plugins.hosts.headers").value == {"api.example": "***"}
    assert row(settings, "plugins.hosts.folder").value == "/srv"


def test_the_check_covers_plugins_and_tables_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "carex.toml").write_text("[server]\nport = 1.5\n[plugins.broken]\nx = 1\n[plugins.mial]\nx = 1\n")

    found = problems(tmp_path, None, {"mail": Mail, "broken": None}, {})

    assert [text.split(" ")[1] for text in found] == ["server.port:", "is", "no"]
    assert "carex.toml:5: no plugin mial is installed." in found


def own_plugins() -> dict[str, type[BaseModel]]:
    """The settings of the plugins that come with Carex, by name."""
    loaded = [each for each in registry.load().loaded if each.package.startswith("carex ")]
    return {each.plugin.name: each.plugin.settings for each in loaded if each.plugin.settings}


def test_the_reference_file_names_every_setting_with_its_default_and_nothing_else(tmp_path: Path) -> None:
    own = own_plugins()
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", REFERENCE.read_text(encoding="utf-8"))
    text = text.replace("https://PORTAL/rest/USER/SECRET/", WEBHOOK)
    settings = loaded(tmp_path, toml=text)
    for name, model in own.items():
        settings.plugin(name, model)

    assert [each.key for each in settings.rows() if not each.origin.startswith("carex.toml:")] == []
    plain = load(tmp_path / "elsewhere", None, {}, {})
    for name, model in own.items():
        plain.plugin(name, model)
    defaults = {each.key: each.value for each in plain.rows() if each.value is not None and each.key != "queue.url"}
    assert {key: row(settings, key).value for key in defaults} == defaults
    assert settings.queue.url == f"sqlite://{tmp_path}/data/queue.db"


def test_the_reference_file_changes_nothing_as_it_stands(tmp_path: Path) -> None:
    settings = loaded(tmp_path, toml=REFERENCE.read_text(encoding="utf-8"))

    assert {each.origin for each in settings.rows()} == {"default"}
    assert set(settings.plugin_tables()) == set(own_plugins())
    assert {"handlers", *SECTIONS} == {each.key.partition(".")[0] for each in settings.rows()}
