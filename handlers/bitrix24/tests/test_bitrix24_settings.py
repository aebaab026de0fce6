import pytest
from carex_bitrix24 import Settings
from pydantic import ValidationError

SECRET = "q1w2e3r4t5y6u7i8"


@pytest.mark.parametrize(
    "written",
    [
        f"https://portal.example/rest/1/{SECRET}/",
        f"https://portal.example/rest/1/{SECRET}",
        f"https://portal.example/rest/1/{SECRET}/crm.item.list",
        f"https://portal.example/rest/1/{SECRET}/crm.item.list.json",
        f"https://portal.example/rest/1/{SECRET}/.json",
        f"https://portal.example/rest/api/1/{SECRET}/",
        f"  https://portal.example/rest/1/{SECRET}/\n",
    ],
)
def test_a_webhook_may_be_written_in_many_ways(written: str) -> None:
    settings = Settings.model_validate({"webhook": written})

    assert settings.webhook is not None
    assert settings.webhook.get_secret_value() == f"https://portal.example/rest/1/{SECRET}/"


@pytest.mark.parametrize("written", ["http://10.0.0.1:8080/rest/12/s/", "https://host/intranet/rest/1/s/"])
def test_a_self_hosted_portal_may_have_any_address(written: str) -> None:
    settings = Settings.model_validate({"webhook": written})

    assert settings.webhook is not None
    assert settings.webhook.get_secret_value() == written


@pytest.mark.parametrize("written", [None, "", "  "])
def test_no_webhook_is_no_error(written: str | None) -> None:
    assert Settings.model_validate({"webhook": written}).webhook is None


@pytest.mark.parametrize(
    "written",
    [
        f"https://portal.example/rest/{SECRET}/",
        f"https://portal.example/rest/one/{SECRET}/",
        f"https://portal.example/{SECRET}/",
        f"ftp://portal.example/rest/1/{SECRET}/",
        f"https://me:{SECRET}@portal.example/rest/1/{SECRET}/",
        f"https://portal.example/rest/1/{SECRET}/?x=1",
        f"https://portal.example/rest/1/{SECRET}/a/b",
        SECRET,
    ],
)
def test_another_shape_is_refused_without_showing_it(written: str) -> None:
    with pytest.raises(ValidationError, match=r"https://PORTAL/rest/USER/SECRET/") as refused:
        Settings.model_validate({"webhook": written})

    assert SECRET not in str(refused.value) + repr(refused.value)


def test_a_secret_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="webhook"):
        Settings.model_validate({"webhook": 5})


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="webhok"):
        Settings.model_validate({"webhok": "x"})


def test_settings_show_no_secret() -> None:
    settings = Settings.model_validate({"webhook": f"https://portal.example/rest/1/{SECRET}/"})

    assert SECRET not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
