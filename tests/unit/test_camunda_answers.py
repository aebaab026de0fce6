"""What the engine's answers mean. The bodies are those that Operaton 1.0.3 and Camunda 7.24.0 gave."""

import json

import pytest

from carex.camunda.answers import Answer, EngineError, Verdict, classify

JSON, HTML = "application/json", "text/html"
PERSISTENCE = "ProcessEnginePersistenceException"
ENGINE = "ProcessEngineException"
STORAGE = "An exception occurred in the persistence layer. …"


def error(type: str, message: str, code: int | None = 0) -> bytes:
    return json.dumps({"type": type, "message": message, "code": code}).encode()


def verdict(call: str, status: int, body: bytes = b"", kind: str = JSON) -> Verdict:
    return classify(status, kind, body, call=call).verdict


WRONG_OWNER = "External Task 1 cannot be completed by worker 'w2'. It is locked by worker 'w1'."
SUSPENDED = "ENGINE-03043 ExternalTask with id '1' is suspended."
NO_OWNER = "External Task 1 cannot be completed by worker 'w1'. It is locked by worker 'null'."


@pytest.mark.parametrize(
    ("call", "status", "body", "meant"),
    [
        ("complete", 204, b"", Verdict.DONE),
        ("fetchAndLock", 200, b"[]", Verdict.DONE),
        ("complete", 400, error("RestException", WRONG_OWNER), Verdict.LOST_LOCK),
        ("extendLock", 400, error("RestException", WRONG_OWNER), Verdict.LOST_LOCK),
        ("complete", 400, error("RestException", NO_OWNER), Verdict.UNLOCKED),
        ("extendLock", 400, error("RestException", "Cannot extend a lock that expired"), Verdict.LOST_LOCK),
        ("complete", 404, error("RestException", "External task with id 1 does not exist"), Verdict.GONE),
        ("start", 404, error("RestException", "No matching process definition with key: k"), Verdict.GONE),
        ("version", 404, error("NotFoundException", "HTTP 404 Not Found"), Verdict.CONFIGURATION),
        ("complete", 400, error("RestException", SUSPENDED), Verdict.SUSPENDED),
        ("complete", 400, error("InvalidRequestException", "Unsupported value type 'Nope'"), Verdict.BAD_INPUT),
        ("complete", 400, b"Cannot construct instance of VariableValueDto", Verdict.BAD_INPUT),
        ("complete", 500, error("NullValueException", "workerId is null"), Verdict.BAD_INPUT),
        ("bpmnError", 500, error("NullValueException", "errorCode is null"), Verdict.BAD_INPUT),
        ("complete", 500, error(PERSISTENCE, STORAGE, 10002), Verdict.BAD_INPUT),
        ("complete", 500, error(ENGINE, "Java serialization format is prohibited"), Verdict.BAD_INPUT),
        ("complete", 500, error(ENGINE, "Unknown property used in expression"), Verdict.BAD_INPUT),
        ("complete", 500, error("OptimisticLockingException", "ENGINE-03005 …", 1), Verdict.RACE),
        ("complete", 500, error("NullValueException", "execution 1 doesn't exist: execution is null"), Verdict.RACE),
        ("complete", 500, error("NullPointerException", ""), Verdict.RACE),
        ("complete", 500, error(ENGINE, "deadlock", 10000), Verdict.RACE),
        ("start", 500, error("NullPointerException", ""), Verdict.BAD_INPUT),
        ("complete", 500, error("CannotCreateTransactionException", "Could not open JDBC Connection"), Verdict.RACE),
        ("complete", 500, error(PERSISTENCE, STORAGE), Verdict.RACE),
        ("complete", 500, b"", Verdict.RACE),
        ("external-task", 500, error(PERSISTENCE, STORAGE), Verdict.OUTAGE),
        ("external-task", 500, b"", Verdict.OUTAGE),
        ("fetchAndLock", 500, error("OptimisticLockingException", "…", 1), Verdict.OUTAGE),
        ("fetchAndLock", 500, error(ENGINE, "lockTime is not greater than 0"), Verdict.BAD_INPUT),
        ("complete", 401, b"", Verdict.CONFIGURATION),
        ("complete", 403, error("AuthorizationException", "The user may not"), Verdict.CONFIGURATION),
        ("version", 400, error("InvalidRequestException", "No process engine available"), Verdict.CONFIGURATION),
        ("complete", 302, b"", Verdict.CONFIGURATION),
        ("complete", 405, b"", Verdict.CONFIGURATION),
        ("complete", 429, b"", Verdict.OUTAGE),
        ("complete", 503, b"", Verdict.OUTAGE),
    ],
)  # fmt: skip
def test_an_answer_is_classified(call, status, body, meant):
    assert verdict(call, status, body) is meant


@pytest.mark.parametrize(
    ("status", "meant"),
    [(200, Verdict.CONFIGURATION), (404, Verdict.CONFIGURATION), (500, Verdict.RACE), (502, Verdict.OUTAGE)],
)
def test_a_web_page_is_never_the_engine(status, meant):
    assert verdict("complete", status, b"<html>Sign in</html>", HTML) is meant


def test_the_form_of_a_server_without_the_engine_is_a_wrong_address():
    body = json.dumps({"timestamp": "…", "status": 404, "error": "Not Found", "path": "/version"}).encode()
    assert verdict("version", 404, body) is Verdict.CONFIGURATION


def test_the_engine_is_quoted():
    answer = classify(400, JSON, error("RestException", WRONG_OWNER), call="complete")
    assert answer.message == WRONG_OWNER


def test_a_page_is_not_quoted():
    assert "<" not in classify(404, HTML, b"<html>Secret intranet</html>", call="version").message


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b"null", b'{"type": 5}'])
def test_any_body_is_borne(body):
    assert verdict("complete", 400, body) is Verdict.BAD_INPUT


@pytest.mark.parametrize(
    ("message", "refuses"),
    [("Cannot set variable 'a': Unsupported value type 'Json'", True), ("Unsupported value type 'Nope'", False)],
)
def test_an_engine_without_json_is_recognised(message, refuses):
    assert Answer(Verdict.BAD_INPUT, message).refuses_json is refuses


@pytest.mark.parametrize(
    ("meant", "code"),
    [
        (Verdict.GONE, 4),
        (Verdict.LOST_LOCK, 5),
        (Verdict.SUSPENDED, 5),
        (Verdict.CONFIGURATION, 3),
        (Verdict.OUTAGE, 6),
        (Verdict.BAD_INPUT, 1),
        (Verdict.RACE, 1),
    ],
)
def test_each_verdict_has_its_exit_code(meant, code):
    assert EngineError("complete", Answer(meant, "…")).exit_code == code
