"""What real portals answered, as other people recorded it, and what the vendor documents, is understood."""

import json
from pathlib import Path
from typing import Any

import pytest
from carex_bitrix24.answers import Kind, classify
from carex_bitrix24.batches import split

TABLE = json.loads((Path(__file__).parent / "recorded_answers.json").read_text(encoding="utf-8"))
RECORDED = {f"{each['recording']}-{each['part']}": each for each in TABLE["recorded"]}
BATCHES = {name: each for name, each in RECORDED.items() if each["means"]["kind"] == "batch"}
LISTS = {name: each for name, each in RECORDED.items() if each["means"]["kind"] == "rows"}
KINDS = {
    "wait: not executed": {Kind.LIMITED},
    "wait: this method only, not executed": {Kind.PARKED},
    "stop: blocked by hand": {Kind.BLOCKED},
    "outcome unknown": {Kind.CRASHED, Kind.OUTAGE},
    "configuration": {Kind.MISCONFIGURED},
    "bad input": {Kind.INVALID},
    "not found": {Kind.MISSING},
    "no permission": {Kind.DENIED},
    "not found or no permission": {Kind.MISSING, Kind.DENIED, Kind.INVALID},
    "value: nothing there": {Kind.DONE},
}


def test_all_the_recordings_are_there() -> None:
    assert len({each["recording"] for each in TABLE["recorded"]}) == 27


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_answer_is_an_answer(name: str) -> None:
    each = RECORDED[name]

    assert classify(each["status"], each["body"]).kind is Kind.DONE


@pytest.mark.parametrize("name", LISTS)
def test_pages_are_told_apart(name: str) -> None:
    means = LISTS[name]["means"]

    verdict = classify(200, LISTS[name]["body"])

    rows = verdict.result[means["under"]] if means["under"] else verdict.result
    assert (len(rows), verdict.next, verdict.total) == (means["rows"], means["next"], means["total"])


@pytest.mark.parametrize("name", BATCHES)
def test_every_command_of_a_batch_gets_its_own_answer(name: str) -> None:
    means = BATCHES[name]["means"]

    verdicts = split(classify(200, BATCHES[name]["body"]), means["succeeded"])

    assert {verdict.kind for verdict in verdicts} <= {Kind.DONE}
    nexts = {name: verdict.next for name, verdict in zip(means["succeeded"], verdicts, strict=True) if verdict.next}
    assert nexts == means["next"]


@pytest.mark.parametrize("name", [name for name, each in BATCHES.items() if not each["means"]["errors_named"]])
def test_a_command_that_an_answer_does_not_name_is_not_taken_for_done(name: str) -> None:
    (verdict,) = split(classify(200, BATCHES[name]["body"]), ["mine"])

    assert verdict.kind is Kind.OUTAGE


@pytest.mark.parametrize("each", TABLE["documented"], ids=lambda each: f"{each['status']} {each['body']}"[:70])
def test_documented_errors_mean_what_they_mean(each: dict[str, Any]) -> None:
    assert classify(each["status"], each["body"]).kind in KINDS[each["means"]]
