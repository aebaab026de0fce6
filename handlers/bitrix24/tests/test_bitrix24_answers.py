from typing import Any

import pytest
from carex_bitrix24.answers import Kind, classify

PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


def refusal(code: str, text: str = "") -> dict[str, str]:
    return {"error": code, "error_description": text}


def rest3(code: str, message: str = "No.") -> dict[str, Any]:
    return {"error": {"code": f"BITRIX_REST_V3_EXCEPTION_{code}", "message": message}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"result": {"item": {"id": 1}}}, Kind.DONE),
        (200, {"result": None}, Kind.DONE),
        (200, {"result": [], "error": None}, Kind.DONE),
        # the code decides, whatever the status and the case
        (503, refusal("QUERY_LIMIT_EXCEEDED"), Kind.LIMITED),
        (200, refusal("query_limit_exceeded"), Kind.LIMITED),
        (429, refusal("OPERATION_TIME_LIMIT"), Kind.PARKED),
        (503, refusal("OVERLOAD_LIMIT"), Kind.BLOCKED),
        (500, refusal("INTERNAL_SERVER_ERROR"), Kind.CRASHED),
        (500, refusal("ERROR_UNEXPECTED_ANSWER"), Kind.CRASHED),
        (500, refusal("SOMETHING_NEW"), Kind.CRASHED),
        (401, refusal("NO_AUTH_FOUND"), Kind.MISCONFIGURED),
        (403, refusal("INVALID_CREDENTIALS"), Kind.MISCONFIGURED),
        (401, refusal("expired_token"), Kind.MISCONFIGURED),
        (403, refusal("insufficient_scope"), Kind.MISCONFIGURED),
        (403, refusal("user_access_error"), Kind.MISCONFIGURED),
        (403, refusal("allowed_only_intranet_user"), Kind.MISCONFIGURED),
        (403, refusal("WRONG_AUTH_TYPE"), Kind.MISCONFIGURED),
        (401, refusal("METHOD_CONFIRM_WAITING"), Kind.MISCONFIGURED),
        (401, refusal("PAYMENT_REQUIRED"), Kind.MISCONFIGURED),
        (410, refusal("PORTAL_DELETED"), Kind.MISCONFIGURED),
        (400, refusal("INVALID_REQUEST"), Kind.MISCONFIGURED),
        (404, refusal("ERROR_METHOD_NOT_FOUND"), Kind.MISCONFIGURED),
        (403, refusal("SOMETHING_NEW"), Kind.MISCONFIGURED),
        (401, refusal("ACCESS_DENIED", "REST is available only on commercial plans."), Kind.MISCONFIGURED),
        (403, refusal("ACCESS_DENIED", "Application context required"), Kind.MISCONFIGURED),
        (400, refusal("ACCESS_DENIED", "You cannot edit this item"), Kind.DENIED),
        (400, refusal("", "Access denied."), Kind.DENIED),
        (403, rest3("ACCESSDENIEDEXCEPTION"), Kind.DENIED),
        (400, refusal("NOT_FOUND"), Kind.MISSING),
        (400, refusal("", "Not found"), Kind.MISSING),
        (400, rest3("ENTITYNOTFOUNDEXCEPTION"), Kind.MISSING),
        (400, refusal("", "ID is not defined or invalid."), Kind.INVALID),
        (400, refusal("100", "Could not find value for parameter {id}"), Kind.INVALID),
        (200, refusal("ERROR_CORE", "Bad<br>"), Kind.INVALID),
        (400, refusal("CRM_FIELD_ERROR_VALUE_NOT_VALID"), Kind.INVALID),
        (400, refusal("INVALID_ARG_VALUE"), Kind.INVALID),
        (405, refusal("ERROR_BATCH_METHOD_NOT_ALLOWED"), Kind.INVALID),
        (400, rest3("VALIDATION_REQUESTVALIDATIONEXCEPTION"), Kind.INVALID),
        (400, refusal("SOMETHING_NEW"), Kind.INVALID),
        # answers that are not Bitrix24's
        (502, PAGE, Kind.OUTAGE),
        (503, PAGE, Kind.OUTAGE),
        (504, "", Kind.OUTAGE),
        (500, "Fatal error", Kind.OUTAGE),
        (500, {"result": True}, Kind.OUTAGE),
        (200, PAGE, Kind.OUTAGE),
        (200, "", Kind.OUTAGE),
        (200, '{"result": {"ite', Kind.OUTAGE),
        (200, [1], Kind.OUTAGE),
        (200, {"other": 1}, Kind.OUTAGE),
        (408, "", Kind.OUTAGE),
        (429, PAGE, Kind.LIMITED),
        (413, PAGE, Kind.INVALID),
        (403, PAGE, Kind.MISCONFIGURED),
        (404, PAGE, Kind.MISCONFIGURED),
        (302, "", Kind.MISCONFIGURED),
    ],
)
def test_every_answer_has_one_meaning(status: int, body: Any, kind: Kind) -> None:
    assert classify(status, body).kind is kind


def test_a_result_comes_with_the_time_at_which_its_method_is_free_again() -> None:
    verdict = classify(200, {"result": 7, "time": {"operating": 3.5, "operating_reset_at": 1700000000}})

    assert (verdict.result, verdict.resets_at) == (7, 1700000000.0)


def test_the_portals_words_lose_their_html() -> None:
    verdict = classify(400, refusal("ERROR_CORE", "Title &amp; deadline<br>are <b>missing</b>"))

    assert verdict.reason == "ERROR_CORE Title & deadline are missing"


def test_a_page_is_named_by_its_title() -> None:
    assert classify(502, PAGE).reason.endswith("not an answer of Bitrix24: 502 Bad Gateway")


def test_the_fields_that_rest_3_refuses_are_named() -> None:
    body = rest3("VALIDATION", "Bad fields")
    body["error"]["validation"] = [{"field": "title", "message": "is required"}]

    assert "Bad fields; title: is required" in classify(400, body).reason


def test_a_wrong_setting_comes_with_its_fix() -> None:
    assert "WEBHOOK_CAREX" in classify(401, refusal("NO_AUTH_FOUND", "Wrong authorization data")).reason
