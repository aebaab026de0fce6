"""Answers that are not what the method said: pages of a web server, errors on demand, half an answer, none."""

from __future__ import annotations

import dataclasses

from carex_bitrix24.simulator.answer import Answer, Cut, html_answer, json_answer
from carex_bitrix24.simulator.call import Refusal
from carex_bitrix24.simulator.faults import ERRORS, PAGES, Fault
from carex_bitrix24.simulator.system_errors import refusal


def fault_refusal(fault: Fault) -> Refusal:
    """Return the error that a fault of kind "error", "overload"… answers with."""
    return refusal(ERRORS[fault.kind] or fault.code, fault.text, fault.status)


def instead(fault: Fault, path: str, query: str) -> Answer | Cut:
    """Return what comes although, or because, the call was not carried out."""
    if fault.kind in ("reset_before", "hang"):
        return Cut(reset=True)
    if fault.kind == "redirect":
        return Answer(302, b"", "text/html", {"location": fault.to.rstrip("/") + path + ("?" + query if query else "")})
    if fault.kind == "error_200":
        return json_answer({"error": fault.code, "error_description": fault.text or "Simulated error"})
    return _page(fault)


def spoilt(fault: Fault, answer: Answer) -> Answer | Cut:
    """Return what is left of the answer to a call that was carried out."""
    if fault.kind == "answer_lost":
        return Cut(reset=False)
    if fault.kind == "truncated":
        return dataclasses.replace(answer, body=answer.body[: len(answer.body) // 2])
    if fault.kind in ("slow", "late"):
        return answer
    return _page(fault)


def _page(fault: Fault) -> Answer:
    if fault.kind == "empty":
        return Answer(200, b"", "text/html")
    page = html_answer(*PAGES[fault.kind])
    if fault.kind == "html_429":
        return dataclasses.replace(page, headers={"retry-after": str(round(fault.seconds))})
    return page
