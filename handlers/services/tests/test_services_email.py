"""`send_email` on aiosmtpd: who got the mail is said, and what nobody can know is not guessed."""

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from carex_services import Settings, open_outside, plugin

from carex import BpmnError, Context, Done, Fail, Finding, Retry, Task, Wait
from carex.testing import call

ANNA, BORIS, VERA = "anna@customer.example", "boris@customer.example", "vera@customer.example"
ID = "<carex.task-1@company.example>"
UNSENT = {"refused": {}, "message_id": ID}


def test_who_got_the_mail_is_said(mail: Any) -> None:
    outcome = mail(to=f"Anna <{ANNA}>", cc=[BORIS], bcc=VERA)

    assert outcome == Done({"message_id": ID, "accepted": [ANNA, BORIS, VERA], "refused": {}})
    assert mail.server.taken[0].rcpt_tos == [ANNA, BORIS, VERA]
    letter = mail.server.letters[0]
    assert (letter["From"], letter["To"], letter["Cc"]) == ("Carex <carex@company.example>", f"Anna <{ANNA}>", BORIS)
    assert letter.get_content() == "Good morning\r\n"


def test_nobody_sees_a_blind_copy(mail: Any) -> None:
    mail(bcc=VERA)

    assert VERA.encode() not in mail.server.taken[0].content


def test_a_recipient_who_is_refused_is_reported_and_the_others_get_it(mail: Any) -> None:
    mail.server.says = {BORIS: "550 5.1.1 no such user", VERA: "450 4.2.1 greylisted"}

    outcome = mail(to=[ANNA, BORIS, VERA])

    refused = {BORIS: "550 5.1.1 no such user", VERA: "450 4.2.1 greylisted"}
    assert outcome == Done({"message_id": ID, "accepted": [ANNA], "refused": refused})


def test_when_all_are_refused_for_good_it_is_an_error_for_the_process(mail: Any) -> None:
    mail.server.says = {ANNA: "550 5.1.1 no such user"}

    outcome = mail()

    assert isinstance(outcome, BpmnError)
    assert outcome.code == "RECIPIENTS_REFUSED"
    assert outcome.variables["refused"] == {ANNA: "550 5.1.1 no such user"}


@pytest.mark.parametrize(("attempt", "delay"), [(1, 60), (2, 120), (7, 3600)])
def test_when_one_of_them_may_be_taken_later_it_is_tried_again_and_later_each_time(
    mail: Any, attempt: int, delay: float
) -> None:
    mail.server.says = {ANNA: "550 5.1.1 no such user", BORIS: "450 4.2.0 greylisted"}

    outcome = mail(attempt=attempt, to=[ANNA, BORIS])

    assert outcome == Retry(f"{ANNA}: 550 5.1.1 no such user; {BORIS}: 450 4.2.0 greylisted", delay)
    assert mail.server.taken == []


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("550 5.7.1 looks like spam", BpmnError("MESSAGE_REFUSED", "550 5.7.1 looks like spam", UNSENT)),
        ("554 5.6.0 no", BpmnError("MESSAGE_REFUSED", "554 5.6.0 no", UNSENT)),
        ("451 4.3.0 disk full", Retry("451 4.3.0 disk full", 60)),
        ("452 4.2.2 mailbox full", Retry("452 4.2.2 mailbox full", 60)),
    ],
)
def test_a_message_is_refused_for_now_or_for_good(mail: Any, said: str, outcome: Any) -> None:
    mail.server.says = {"DATA": said}

    assert mail() == outcome


@pytest.mark.parametrize("command", ["MAIL", ANNA])
def test_a_server_that_wants_a_login_waits_for_a_person(mail: Any, command: str) -> None:
    mail.server.says = {command: "530 5.7.0 authentication required"}

    assert isinstance(mail(), Wait)


@pytest.mark.parametrize("command", ["MAIL", ANNA, "DATA"])
def test_a_server_that_is_closing_is_waited_for(mail: Any, command: str) -> None:
    mail.server.says = {command: "421 4.3.2 shutting down"}

    outcome = mail(to=[ANNA, BORIS])

    assert isinstance(outcome, Wait)
    assert outcome.reason == f"127.0.0.1:{mail.server.port}: 421 4.3.2 shutting down"


def test_a_message_that_the_server_finds_too_large_is_refused_before_it_is_sent(mail: Any) -> None:
    mail.server.options = {"data_size_limit": 2000}

    outcome = mail(text="x" * 3000)

    assert isinstance(outcome, BpmnError)
    assert (outcome.code, outcome.reason[:3]) == ("MESSAGE_REFUSED", "552")
    assert mail.server.asked == []


# ------------------------------------------------------------------ what nobody knows


def test_a_lost_answer_is_followed_by_the_same_mail_once_more(mail: Any) -> None:
    mail.server.hangs_up = "DATA"
    first = mail()
    mail.server.hangs_up = ""
    second = mail(attempt=2)

    assert isinstance(first, Retry)
    assert "nobody knows" in first.reason
    assert isinstance(second, Done)
    assert [each["Message-ID"] for each in mail.server.letters] == [ID, ID]
    assert [each["X-Carex-Key"] for each in mail.server.letters] == ["task-1", "task-1"]


@pytest.mark.parametrize(("attempt", "resend"), [(2, True), (1, False)])
def test_after_that_a_person_has_to_look(mail: Any, attempt: int, resend: bool) -> None:
    mail.server.hangs_up = "DATA"

    outcome = mail({"mail_resend": resend}, attempt)

    assert isinstance(outcome, Fail)
    assert ID in outcome.reason


@pytest.mark.parametrize(("left", "expected"), [(None, Retry), (8, Retry), (7, Fail)])
def test_the_engine_counts_attempts_by_the_retries_that_are_left(mail: Any, left: int | None, expected: type) -> None:
    mail.server.hangs_up = "DATA"
    letter = {"to": ANNA, "text": "x"}
    task = Task("send_email", letter, attempt=1, reply={"task_id": "t", "retries": left})

    async def scenario() -> None:
        async with mail.server.serve():
            settings = Settings.model_validate(mail.server.settings())
            async with open_outside(settings) as outside:
                handler = plugin.handlers["send_email"]
                await handler.function(handler.parse(letter), Context(task, settings=settings, client=outside))

    with pytest.raises(expected):
        asyncio.run(scenario())


def test_a_connection_that_breaks_before_the_message_is_nothing_but_a_wait(mail: Any) -> None:
    mail.server.hangs_up = "MAIL"

    assert isinstance(mail(attempt=5), Wait)


# ------------------------------------------------------------------ the server


def test_without_a_server_mail_waits() -> None:
    outcome = asyncio.run(call(plugin.handlers["send_email"], {"to": ANNA, "text": "x"}, settings={"mail_from": ANNA}))

    assert isinstance(outcome, Wait)
    assert "smtp_host" in outcome.reason


def test_a_server_that_cannot_be_reached_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none", "mail_from": ANNA}

    outcome = asyncio.run(call(plugin.handlers["send_email"], {"to": ANNA, "text": "x"}, settings=settings))

    assert isinstance(outcome, Wait)
    assert f"127.0.0.1:{port} cannot be reached" in outcome.reason


def test_a_server_that_says_nothing_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {"smtp_host": "127.0.0.1", "smtp_port": silent.getsockname()[1], "smtp_security": "none"}
        settings |= {"smtp_timeout": 0.1, "mail_from": ANNA}
        outcome = asyncio.run(call(plugin.handlers["send_email"], {"to": ANNA, "text": "x"}, settings=settings))

    assert isinstance(outcome, Wait)


def test_mail_goes_out_encrypted_and_logged_in(mail: Any, certificates: Any) -> None:
    mail.server.login = (b"carex", b"s3cr3t")
    mail.server.options = {"tls_context": certificates.server, "require_starttls": True}
    who = {"smtp_username": "carex", "smtp_password": "s3cr3t"}

    outcome = mail({"smtp_security": "starttls", "ca_file": str(certificates.ca_file), **who})

    assert isinstance(outcome, Done)


def test_a_server_may_speak_tls_from_the_start(mail: Any, certificates: Any) -> None:
    outcome = mail({"smtp_security": "tls", "ca_file": str(certificates.ca_file)}, tls=certificates.server)

    assert isinstance(outcome, Done)


def test_a_server_without_starttls_gets_nothing(mail: Any) -> None:
    outcome = mail({"smtp_security": "starttls"})

    assert isinstance(outcome, Wait)
    assert "STARTTLS" in outcome.reason
    assert mail.server.taken == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_somebody_unknown_is_not_trusted(mail: Any, certificates: Any, security: str) -> None:
    mail.server.options = {"tls_context": certificates.server} if security == "starttls" else {}

    outcome = mail({"smtp_security": security}, tls=certificates.server if security == "tls" else None)

    assert isinstance(outcome, Wait)
    assert re.search("certificate verify failed.*ca_file", outcome.reason)


def test_a_wrong_password_waits_for_a_person_and_shows_no_password(mail: Any, certificates: Any) -> None:
    mail.server.login = (b"carex", b"right")
    mail.server.options = {"tls_context": certificates.server}
    who = {"smtp_username": "carex", "smtp_password": "canary-9"}

    outcome = mail({"smtp_security": "starttls", "ca_file": str(certificates.ca_file), **who})

    assert isinstance(outcome, Wait)
    assert re.search("535 .*see smtp_username", outcome.reason)
    assert "canary-9" not in repr(outcome)


def test_a_sender_who_is_refused_waits_for_a_person(mail: Any) -> None:
    mail.server.says = {"MAIL": "553 5.7.1 not owned by you"}

    outcome = mail()

    assert isinstance(outcome, Wait)
    assert "see mail_from" in outcome.reason


def test_no_more_connections_are_opened_than_allowed(mail: Any) -> None:
    async def scenario() -> None:
        async with mail.server.serve():
            settings = Settings.model_validate(mail.server.settings(smtp_connections=2))
            handler = plugin.handlers["send_email"]
            async with open_outside(settings) as outside:
                letters = [
                    call(handler, {"to": ANNA, "text": "x"}, settings=settings, client=outside) for _ in range(8)
                ]
                await asyncio.gather(*letters)

    asyncio.run(scenario())

    assert (len(mail.server.taken), mail.server.most_connected) == (8, 2)


# ------------------------------------------------------------------ addresses and content on their way


def test_an_address_that_is_not_ascii_goes_to_a_server_that_knows_such(mail: Any) -> None:
    mail.server.options = {"enable_SMTPUTF8": True}

    outcome = mail(to="анна@почта.рф")

    assert isinstance(outcome, Done)
    assert outcome.result["accepted"] == ["анна@xn--80a1acny.xn--p1ai"]


def test_and_is_refused_where_the_server_does_not(mail: Any) -> None:
    outcome = mail(to="анна@почта.рф")

    assert isinstance(outcome, BpmnError)
    assert "SMTPUTF8" in outcome.reason


def test_a_domain_in_cyrillic_is_known_to_every_server(mail: Any) -> None:
    assert mail(to="anna@почта.рф").result["accepted"] == ["anna@xn--80a1acny.xn--p1ai"]


def test_lines_of_a_text_arrive_as_they_are(mail: Any) -> None:
    text = "first\n.\n..dots\nFrom here\nкириллица 🐈\n"

    mail(text=text, subject="Заказ № 5")

    letter = mail.server.letters[0]
    assert letter.get_content().replace("\r\n", "\n") == text
    assert letter["Subject"] == "Заказ № 5"


def test_in_a_test_installation_only_listed_recipients_get_mail(mail: Any) -> None:
    outcome = mail({"mail_recipients": ["*@company.example"]}, to=["me@Company.example", ANNA])

    assert outcome.result["accepted"] == ["me@company.example"]
    assert outcome.result["refused"] == {ANNA: "not in mail_recipients"}
    assert mail.server.taken[0].rcpt_tos == ["me@company.example"]


def test_mail_to_nobody_who_is_listed_fails(mail: Any) -> None:
    outcome = mail({"mail_recipients": ["*@company.example"]})

    assert isinstance(outcome, Fail)
    assert "mail_recipients" in outcome.reason


def test_what_is_written_stays_out_of_the_log(mail: Any, lines: list[str]) -> None:
    mail(text="canary-body", subject="canary-subject")

    assert any(ID in line for line in lines)
    assert "canary" not in "".join(lines)


# ------------------------------------------------------------------ doctor


async def findings(settings: dict[str, Any]) -> list[Finding]:
    async with open_outside(Settings.model_validate(settings)) as outside:
        return [finding for check in plugin.checks for finding in await check(outside)]


def test_nothing_is_found_where_nothing_is_set_up() -> None:
    assert asyncio.run(findings({})) == []


def test_the_check_logs_in_and_sends_nothing(mail: Any) -> None:
    async def scenario() -> list[Finding]:
        async with mail.server.serve():
            return await findings(mail.server.settings())

    assert asyncio.run(scenario()) == [Finding(f"mail goes through 127.0.0.1:{mail.server.port}")]
    assert mail.server.taken == []


def test_the_check_says_what_to_mend(mail: Any) -> None:
    async def scenario() -> list[Finding]:
        async with mail.server.serve():
            return await findings(mail.server.settings(smtp_security="starttls"))

    found = asyncio.run(scenario())

    assert "STARTTLS" in found[0].text
    assert found[0].fix


def test_a_folder_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(Fail, match=r"mail_templates: there is no .*/nowhere"):
        asyncio.run(findings({"mail_templates": str(tmp_path / "nowhere")}))
