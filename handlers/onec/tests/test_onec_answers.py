"""What each of 1C's answers means."""

import json

import pytest
from carex_onec.answers import Kind, classify, decoded, may_be_dead, refused_alike

XML = (
    '<?xml version="1.0"?><m:error xmlns:m="x"><m:code>{}</m:code>'
    '<m:message xml:lang="ru">Беда &lt;1&gt;</m:message></m:error>'
)
KINDS = {
    -1: Kind.CRASHED,
    **dict.fromkeys((0, 2, 3, 6, 7, 12, 13, 14, 16, 18, 19, 21), Kind.REFUSED),
    **dict.fromkeys((1, 4, 5), Kind.INVALID),
    **dict.fromkeys((8, 10, 11, 17), Kind.UNPUBLISHED),
    9: Kind.MISSING,
    15: Kind.EXISTS,
    20: Kind.DENIED,
}


@pytest.mark.parametrize("code", range(-1, 22))
def test_every_code_has_a_meaning_in_json_and_in_xml(code: int) -> None:
    as_json = {"odata.error": {"code": str(code), "message": {"lang": "ru", "value": "Беда <1>"}}}

    verdicts = [classify(400, as_json), classify(400, XML.format(code))]

    assert {each.kind for each in verdicts} == {KINDS[code]}
    assert "Беда" in verdicts[0].reason


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"value": []}, Kind.DONE),
        (204, "", Kind.DONE),
        (200, "<html>Войдите</html>", Kind.ELSEWHERE),
        (200, "<feed/>", Kind.ELSEWHERE),
        (401, "<h1>Unauthorized</h1>", Kind.MISCONFIGURED),
        (401, {"odata.error": {"code": "20", "message": {"value": "RLS"}}}, Kind.DENIED),
        (412, {"odata.error": {"code": "6", "message": "x"}}, Kind.CONFLICT),
        (412, "", Kind.CONFLICT),
        (406, "", Kind.SHUT),
        (402, "", Kind.SHUT),
        (500, "<h1>Не обнаружено свободной лицензии!</h1>", Kind.SHUT),
        (500, "<p>No free license</p>", Kind.SHUT),
        (500, "boom", Kind.OUTAGE),
        (503, "<title>Service Unavailable</title>", Kind.OUTAGE),
        (302, "", Kind.ELSEWHERE),
        (400, {"odata.error": {"code": "x", "message": None}}, Kind.CRASHED),
        (200, {"odata.error": {"code": "9", "message": {"value": "нет"}}}, Kind.MISSING),
    ],
)
def test_what_the_status_and_the_words_mean(status: int, body: object, kind: Kind) -> None:
    assert classify(status, body).kind is kind


@pytest.mark.parametrize(
    ("content", "charset", "found"),
    [
        (b"\xef\xbb\xbf" + json.dumps({"имя": 1}, ensure_ascii=False).encode(), None, {"имя": 1}),
        ('{"имя": "я"}'.encode("cp1251"), None, {"имя": "я"}),
        ("Привет".encode("koi8-r"), "koi8-r", "Привет"),
        ("Привет".encode("cp1251"), "no-such-charset", "Привет"),
        (b"", None, ""),
    ],
)
def test_bodies_are_read_in_whatever_letters_they_come(content: bytes, charset: str | None, found: object) -> None:
    assert decoded(content, charset) == found


def test_only_strangers_words_may_mean_a_dead_session() -> None:
    assert may_be_dead(400, "<html>")
    assert not may_be_dead(400, {"errors": []})
    assert not may_be_dead(404, XML.format(9))
    assert not may_be_dead(503, "<html>")


@pytest.mark.parametrize(
    ("status", "said", "when_ending", "certain"),
    [
        (404, "<p>Сеанс 7 не найден</p>", "<p>Сеанс 8 не найден</p>", True),
        (500, "Сеанс отсутствует или удален", "Сеанс отсутствует или удален", True),
        (500, "The session has been deleted", "The session has been deleted", True),
        (400, "Bad Request", "Bad Request", True),
        (400, "Неверный ИНН", "Bad Request", False),
        (404, "", "", False),
        (500, "Ошибка СУБД", "Ошибка СУБД", False),
        (503, "Сеанс отсутствует", "Сеанс отсутствует", False),
    ],
)
def test_a_request_was_never_let_in_if_the_end_of_its_session_is_refused_alike(
    status: int, said: str, when_ending: str, certain: bool
) -> None:
    assert refused_alike(status, said, status, when_ending) is certain
