"""What becomes of a letter: addresses, templates, attachments, and what is refused before anything is sent."""

import base64
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from carex_services import Settings, plugin
from carex_services.addresses import parse
from carex_services.letter import Letter, seal
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from carex import Task

handler = plugin.handlers["send_email"]


def sealed(settings: dict[str, Any] | None = None, task: Task | None = None, **letter: Any) -> EmailMessage:
    """The mail as it goes out, read again."""
    wanted: Letter = handler.parse({"to": "anna@customer.example", "text": "Hello", **letter})
    known = Settings.model_validate({"mail_from": "carex@company.example", **(settings or {})})
    envelope = seal(wanted, task or Task("send_email", id="task-1"), known)
    return message_from_bytes(envelope.content, policy=policy.default)  # type: ignore[return-value]


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("anna@x.example", ["anna@x.example"]),
        ("Anna P. <anna@x.example>, boris@x.example", ["anna@x.example", "boris@x.example"]),
        (["Анна <anna@x.example>", " boris@X.example "], ["anna@x.example", "boris@x.example"]),
        ('"Petrova, Anna" <anna@x.example>', ["anna@x.example"]),
        ("anna+tag@почта.рф", ["anna+tag@xn--80a1acny.xn--p1ai"]),
        ("", []),
    ],
)
def test_addresses_may_be_written_in_many_ways(written: Any, read: list[str]) -> None:
    assert [each.addr_spec for each in parse(written)] == read


@pytest.mark.parametrize(
    "written",
    [
        "anna",
        "@x.example",
        "anna@",
        "anna@x example",
        "anna@-x.example",
        "anna@x..example",
        "anna@[127.0.0.1]",
        "anna@x.example boris@x.example",
        "anna@x.example\r\nBcc: vera@x.example",
        "anna@x.example\u2028",
        "anna@evil.example@x.example",
        "group: anna@x.example, boris@x.example;x",
        "undisclosed-recipients:;",
        '"an na"@x.example',
        "<anna@x.example",
        f"{'a' * 65}@x.example",
    ],
)
def test_what_is_no_address_is_named(written: str) -> None:
    with pytest.raises(ValueError, match="is not an e-mail address"):
        parse(written)


@given(st.text(max_size=40))
def test_whatever_is_read_as_an_address_is_safe_in_a_command(text: str) -> None:
    try:
        found = parse(f"{text}@x.example")
    except ValueError:
        return
    assert [each.addr_spec for each in found if set(each.addr_spec) & set(" <>()\r\n,;\x00")] == []
    assert all(each.addr_spec.isprintable() for each in found)


@pytest.mark.parametrize("field", ["subject", "to", "reply_to", "cc"])
def test_no_header_gets_another_line(field: str) -> None:
    with pytest.raises(ValueError):
        sealed(**{field: "a@x.example\r\nBcc: vera@x.example"})


def test_empty_variables_of_a_process_are_fields_left_out() -> None:
    mail = sealed(subject=None, cc=None, bcc="", reply_to=None, html=None)

    assert (mail["Cc"], mail["Subject"]) == (None, "")


def test_a_letter_without_recipients_is_refused_at_the_door() -> None:
    with pytest.raises(ValidationError, match="to"):
        handler.parse({"text": "x"})


def test_too_many_recipients_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 100 recipients, not 101"):
        sealed(to=[f"a{number}@x.example" for number in range(101)])


# ------------------------------------------------------------------ what tells a repetition


def test_a_repetition_has_the_same_message_id() -> None:
    ids = [sealed(task=Task("send_email", id="0192ab", attempt=attempt))["Message-ID"] for attempt in (1, 2)]

    assert ids == ["<carex.0192ab@company.example>"] * 2


def test_the_engine_sends_a_failed_task_again_under_its_key() -> None:
    mails = [sealed(task=Task("send_email", id=id, key="c5a1-77")) for id in ("first", "second")]

    assert {mail["Message-ID"] for mail in mails} == {"<carex.c5a1-77@company.example>"}


def test_a_key_that_does_not_fit_a_header_is_hashed() -> None:
    mail = sealed(task=Task("send_email", key="заказ>\r\n5"))

    assert len(mail["X-Carex-Key"]) == 64


# ------------------------------------------------------------------ templates


def with_templates(folder: Path) -> dict[str, Any]:
    (folder / "order.txt").write_text("Subject: Order {{ order.number }}\n\nHello {{name}}, $5 and {braces}.\n")
    (folder / "order.html").write_text("<p>Hello {{ name }}</p>")
    (folder.parent / "secret.txt").write_text("secret")
    return {"mail_templates": str(folder)}


def test_a_template_gives_subject_text_and_page(tmp_path: Path) -> None:
    mail = sealed(
        with_templates(tmp_path), text="", template="order", template_vars={"name": "<b>Anna", "order": {"number": 5}}
    )

    assert mail["Subject"] == "Order 5"
    text, page = mail.iter_parts()
    assert text.get_content().rstrip() == "Hello <b>Anna, $5 and {braces}."
    assert page.get_content().rstrip() == "<p>Hello &lt;b&gt;Anna</p>"


def test_what_the_letter_gives_itself_wins(tmp_path: Path) -> None:
    values = {"name": "Anna", "order": {"number": 5}}

    mail = sealed(with_templates(tmp_path), subject="Mine", template="order", template_vars=values)

    assert mail["Subject"] == "Mine"


@pytest.mark.parametrize(
    ("template", "variables", "complaint"),
    [
        ("order", {"name": "Anna"}, "wants 'order.number'"),
        ("ordr", {}, "neither ordr.txt nor ordr.html"),
        ("../secret", {}, "its name is that of its files"),
        ("order", {"name": "A", "order": {"number": "5\r\nBcc: vera@x.example"}}, "linefeed"),
    ],
)
def test_a_template_that_cannot_be_filled_says_why(
    tmp_path: Path, template: str, variables: dict[str, Any], complaint: str
) -> None:
    (tmp_path / "templates").mkdir()

    with pytest.raises(ValueError, match=complaint):
        sealed(with_templates(tmp_path / "templates"), text="", template=template, template_vars=variables)


# ------------------------------------------------------------------ attachments


def test_a_file_goes_along() -> None:
    mail = sealed(attachments=[{"name": "счёт.pdf", "content": base64.b64encode(b"%PDF\x00").decode()}])

    attached = next(mail.iter_attachments())
    assert (attached.get_filename(), attached.get_content_type()) == ("счёт.pdf", "application/pdf")
    assert attached.get_content() == b"%PDF\x00"


def test_a_file_may_come_from_the_folder_for_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "price.csv").write_bytes(b"1;2\r\n")

    mail = sealed({"mail_attachments": str(tmp_path)}, attachments=[{"path": "a/price.csv"}])

    assert next(mail.iter_attachments()).get_content().splitlines() == ["1;2"]


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/hostname", "link", "a/../../secret.txt", "a", "none"])
def test_and_from_nowhere_else(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "attachments"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret.txt")

    with pytest.raises(ValueError, match="no such file in mail_attachments"):
        sealed({"mail_attachments": str(folder)}, attachments=[{"path": path, "name": "x"}])


@pytest.mark.parametrize(
    ("attachment", "complaint"),
    [
        ({"name": "x", "path": "x"}, "need the setting mail_attachments"),
        ({"name": "x", "content": "not base64!"}, "not base64"),
        ({"name": "x"}, "either its content"),
        ({"content": "eA=="}, "give it a name"),
        ({"name": "../x", "content": "eA=="}, "without slashes"),
        ({"name": "x\r\ny", "content": "eA=="}, "give it a name"),
        ({"name": "x", "content": "eA==", "type": "text"}, "not a media type"),
        ({"name": "x", "content": "eA==", "type": "message/rfc822"}, "not for files"),
    ],
)
def test_an_attachment_that_does_not_fit_is_named(attachment: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        sealed(attachments=[attachment])


def test_a_large_mail_is_refused() -> None:
    content = base64.b64encode(b"x" * 3000).decode()

    with pytest.raises(ValueError, match="mail_max_bytes allows 2000"):
        sealed({"mail_max_bytes": 2000}, attachments=[{"name": "x", "content": content}])


def test_an_empty_letter_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing in it"):
        sealed(text=" ")
