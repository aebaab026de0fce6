import pytest
from carex_services import Settings
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"smtp_host": "mail.example"}, "needs mail_from"),
        ({"mail_from": "nobody"}, "not an e-mail address"),
        ({"mail_from": "a@x.example, b@x.example"}, "expected one address"),
        ({"smtp_username": "carex"}, "go together"),
        ({"smtp_username": "carex", "smtp_password": "s3cr3t", "smtp_security": "none"}, "would show the password"),
        ({"mail_templates": "templates"}, "expected a full path"),
        ({"http_hosts": ["https://x.example/path"]}, "expected hosts such as"),
        ({"http_hosts": ["*"]}, "expected hosts such as"),
        ({"http_networks": ["10.0.0.1/8"]}, "has host bits set"),
        ({"http_headers": {"x.example": "Authorization: Bearer s3cr3t"}}, "not written so in http_hosts"),
        ({"http_hosts": ["x.example"], "http_headers": {"x.example": "s3cr3t"}}, "expected NAME: VALUE"),
        ({"http_hosts": ["x.example"], "http_headers": {"x.example": "A: s3cr3t\r\nB: c"}}, "expected NAME: VALUE"),
        ({"smpt_host": "x"}, "smpt_host"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_without_showing_secrets(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint) as refused:
        Settings.model_validate(given)

    assert "s3cr3t" not in str(refused.value) + repr(refused.value)


def test_settings_show_no_secret() -> None:
    settings = Settings.model_validate(
        {
            "smtp_username": "carex",
            "smtp_password": "s3cr3t",
            "http_hosts": ["x.example"],
            "http_headers": {"x.example": "X-Key: s3cr3t"},
        }
    )

    assert "s3cr3t" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert settings.header_for("x.example") == {"X-Key": "s3cr3t"}
