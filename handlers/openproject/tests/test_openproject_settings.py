"""The table `[plugins.openproject]`, and what `carex doctor` finds."""

import pytest
from carex_openproject import Settings, plugin
from pydantic import ValidationError

TOKEN = "s3cr3tw0rd99"
(CHECK,) = plugin.checks


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://openproject.example", "https://openproject.example"),
        (" https://openproject.example/ ", "https://openproject.example"),
        ("https://openproject.example/api/v3/", "https://openproject.example"),
        ("http://office.example:8080/openproject", "http://office.example:8080/openproject"),
        ("", None),
    ],
)
def test_the_address_may_be_written_as_people_copy_it(written, url):
    assert Settings.model_validate({"url": written}).url == url


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "openproject.example"},
        {"url": f"https://apikey:{TOKEN}@openproject.example"},
        {"url": "https://openproject.example/?x=1"},
        {"token": f"{TOKEN} and more"},
        {"token": 5},
        {"auth": "digest"},
        {"timeout": 0},
        {"marker_field": "Task"},
        {"users": {"Anna": 1}},
        {"tokn": TOKEN},
    ],
)
def test_other_values_are_refused_without_showing_them(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))) as refused:
        Settings.model_validate(wrong)

    assert TOKEN not in str(refused.value) + repr(refused.value) or "tokn" in wrong


def test_settings_show_no_secret():
    settings = Settings.model_validate({"token": f" {TOKEN} "})

    assert settings.token is not None
    assert settings.token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()


def test_employees_are_numbers_although_toml_has_only_texts_for_keys():
    assert Settings.model_validate({"users": {"5": 12}}).users == {5: 12}


def test_nothing_is_found_where_nothing_is_set_up(asking, instance):
    assert asking(CHECK, url=None, token=None) == []
    assert instance.log == []


def test_the_check_says_who_we_are_there(asking):
    found = asking(CHECK, url="http://localhost")

    assert [each.text for each in found] == ["OpenProject 16.0.0 at http://localhost knows us as Carex (1)"]


def test_the_check_finds_a_token_that_travels_in_the_open(asking):
    assert asking(CHECK)[1].fix == "Use https in plugins.openproject.url."


@pytest.mark.parametrize(("field", "problems"), [("customField5", 1), ("customField6", 0)])
def test_the_check_finds_a_marker_field_that_is_missing(asking, instance, field, problems):
    instance.add_custom_field(6, "Task in the process")

    found = asking(CHECK, url="http://localhost", marker_field=field)

    assert [field in each.text for each in found[1:]] == [True] * problems
