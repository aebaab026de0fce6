"""The errors that any method may answer with, and their statuses, as the vendor's documentation lists them."""

from carex_bitrix24.simulator.call import Refusal

SYSTEM = {
    "INTERNAL_SERVER_ERROR": (500, "Internal server error"),
    "ERROR_UNEXPECTED_ANSWER": (500, "Server returned an unexpected response"),
    "PORTAL_DELETED": (500, "Portal was deleted"),
    "QUERY_LIMIT_EXCEEDED": (503, "Too many requests"),
    "OVERLOAD_LIMIT": (503, "REST API is blocked due to overload."),
    "OPERATION_TIME_LIMIT": (429, "Method is blocked due to operation time limit."),
    "INVALID_REQUEST": (400, "Https required."),
    "NO_AUTH_FOUND": (401, "Wrong authorization data"),
    "expired_token": (401, "The access token provided has expired"),
    "invalid_token": (401, "Unable to get application by token"),
    "PAYMENT_REQUIRED": (401, "Payment required"),
    "APPLICATION_NOT_FOUND": (401, "Application not found"),
    "NOT_INSTALLED": (401, "Application is not installed"),
    "METHOD_CONFIRM_WAITING": (401, "Waiting for confirmation"),
    "METHOD_CONFIRM_DENIED": (403, "Method call denied"),
    "INVALID_CREDENTIALS": (403, "Invalid request credentials"),
    "ACCESS_DENIED": (403, "REST API is available only on commercial plans"),
    "insufficient_scope": (403, "The request requires higher privileges than provided by the webhook token"),
    "user_access_error": (403, "The user does not have access to the application."),
    "allowed_only_intranet_user": (403, "Allowed only intranet user"),
    "WRONG_AUTH_TYPE": (403, "Current authorization type is denied for this method"),
    "ERROR_METHOD_NOT_FOUND": (404, "Method not found!"),
}


def refusal(code: str, text: str = "", status: int = 0) -> Refusal:
    """Return a refusal with this code; what is not given is as documented, and 400 for an unknown code."""
    usual_status, usual_text = SYSTEM.get(code, (400, "Simulated error"))
    return Refusal(code, text or usual_text, status or usual_status, system=True)
