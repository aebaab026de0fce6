"""A file of deals to try the rules on: CSV or JSON, as the portal exports it or typed by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from carex.errors import UsageError
from carex.people.sheet import read_text
from carex_bitrix24.facts import FIELDS, OWNERS

KNOWN = {field.lower(): name for name, field in FIELDS.items()} | {
    "category_id": "pipeline",
    "stage_id": "stage",
    "source_id": "source",
    "currency_id": "currency",
    "owner": OWNERS,
}
IDS = {"id", "deal_id"}
TIMES = {"at", "created", "createdtime", "created_time", "date_create"}
TITLES = {"title", "name", "TITLE", "NAME"}
"""What people keep in such a file for themselves."""


@dataclass(frozen=True)
class Deal:
    """`at` is the Unix time at which it came, if the file says so."""

    id: str
    at: float | None
    facts: Mapping[str, Any]


def read_deals(file: Path, zone: tzinfo | None = None) -> list[Deal]:
    """The deals in their order; those with times by their times, which are of this zone unless they say otherwise.

    Raises `UsageError` naming what cannot be read.
    """
    text = read_text(file)
    rows = _json(text, file) if text.lstrip()[:1] in ("[", "{") else _csv(text)
    deals = [_deal(row, number, file, zone) for number, row in enumerate(rows, start=1)]
    timed = [deal for deal in deals if deal.at is not None]
    if timed and len(timed) < len(deals):
        raise UsageError(f"{file}: {len(deals) - len(timed)} deals have no time, but the others have.")
    return sorted(deals, key=lambda deal: deal.at or 0.0)


def strangers(deals: Iterable[Deal], wanted: Iterable[str]) -> list[str]:
    """The columns that mean nothing here: neither are they known, nor does a rule ask for them."""
    return sorted({name for deal in deals for name in deal.facts} - {*FIELDS, OWNERS, *wanted, *TITLES})


def _csv(text: str) -> list[dict[str, Any]]:
    heading = text.partition("\n")[0]
    found = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in heading else ",")
    return [{name: value for name, value in row.items() if name and value not in (None, "")} for row in found]


def _json(text: str, file: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}.") from None
    if isinstance(found, dict):
        found = found.get("deals", found.get("items"))
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UsageError(f'{file} is no list of deals: [{{"id": 1, "pipeline": 0, "amount": 5000}}].')
    return found


def _deal(row: Mapping[str, Any], number: int, file: Path, zone: tzinfo | None) -> Deal:
    id, at, facts = f"line-{number}", None, {}
    for heading, value in row.items():
        name = heading.strip()
        if name.lower() in IDS:
            id = str(value).strip()
        elif name.lower() in TIMES:
            at = _time(str(value), number, file, zone)
        elif KNOWN.get(name.lower(), name.lower()) == OWNERS:
            facts[OWNERS] = [int(each) for each in re.findall("[0-9]+", str(value))]
        else:
            known = name.lower() in FIELDS
            facts[KNOWN.get(name.lower(), name.lower() if known else name)] = value
    return Deal(id, at, facts)


def _time(text: str, number: int, file: Path, zone: tzinfo | None) -> float:
    """A Unix time, 2026-01-31T18:00:00+03:00 or 31.01.2026 18:00."""
    iso = re.sub(r"^([0-9]{2})\.([0-9]{2})\.([0-9]{4})", r"\3-\2-\1", text.strip())
    try:
        if re.fullmatch(r"[0-9]{9,11}(\.[0-9]+)?", iso):
            return float(iso)
        at = datetime.fromisoformat(re.sub("Z$", "+00:00", iso))
        return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"{file}, deal {number}: {text[:40]!r} is not a time.", "Write 2026-01-31 18:00.") from None
