"""The table [plugins.onec]: what is taken, and what is refused without showing it."""

from typing import Any

import pytest
from carex_onec import Settings
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://1c.example.com/ut/", "https://1c.example.com/ut"),
        ("http://h:8080/a/b/odata/standard.odata/Catalog_X", "http://h:8080/a/b"),
        ("http://h/ut/hs/carex", "http://h/ut"),
        ("https://h/ut/ru_RU/", "https://h/ut"),
        (" ", None),
    ],
)
def test_an_address_is_taken_with_what_people_copy_along(given: str, url: str | None) -> None:
    assert Settings(url=given).url == url


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://user:geheim@h/ut"},
        {"url": "h/ut?geheim"},
        {"user": "a:geheim"},
        {"sessions": 0},
        {"ping": "../geheim"},
        {"sync_service": ""},
        {"time_zone": "Mars/geheim"},
        {"passwort": "geheim"},
    ],
)
def test_what_is_wrong_is_refused_and_not_shown(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(given)

    assert "geheim" not in str(refused.value)


def test_the_password_is_in_no_output() -> None:
    assert "geheim" not in repr(Settings(password="geheim"))


def test_services_are_named_below_hs() -> None:
    assert Settings(ping="/hs/carex/v1/ping/").ping == "carex/v1/ping"
