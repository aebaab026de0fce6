"""Values as 1C's OData writes them: in addresses, in bodies, and compared with what 1C made of them.

Source: the vendor's guide 8.3.27, §17.4; and observations on a live infobase: whole numbers come as strings, and too
long strings are cut without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from carex import Fail

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_FOREIGN_MOMENT = re.compile(
    r"(?P<local>\d{4}-\d\d-\d\dT\d\d:\d\d)(?P<seconds>:\d\d)?(?:\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)
_EMPTY = (None, "", 0, False, "0001-01-01T00:00:00", "00000000-0000-0000-0000-000000000000")


def is_guid(text: object) -> bool:
    return isinstance(text, str) and _GUID.fullmatch(text) is not None


def literal(name: str, value: Any) -> str:
    """The value as it stands in an address; whether a text is a reference shows in the attribute's name."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    text = str(value)
    if is_guid(text) and name.endswith("_Key"):
        return f"guid'{text}'"
    if _MOMENT.fullmatch(text):
        return f"datetime'{text}'"
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def equal_to(where: Mapping[str, Any]) -> str:
    """The `$filter` for objects whose attributes have these values."""
    return " and ".join(f"{name} eq {literal(name, value)}" for name, value in where.items())


def place(entity: str, key: str | Mapping[str, Any], *more: str) -> str:
    """The path of one object: by its reference, or a register's record by its dimensions."""
    if isinstance(key, str):
        inside = f"guid'{key}'"
    else:
        inside = ",".join(f"{name}={literal(name, value)}" for name, value in key.items())
    return "/".join([f"{entity}({quote(inside, safe=chr(39) + '=,:')})", *more])


def query_of(parameters: Mapping[str, Any]) -> str:
    """The query of an address. 1C does not take a + for a space."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return urlencode(given, quote_via=quote, safe="$'(),*")


def localised(value: Any, zone: str | None) -> Any:
    """The value with every moment in it as 1C has them: of the server's clock, without a zone.

    Raises Fail for a moment with a zone if it is not known which one the server has.
    """
    if isinstance(value, Mapping):
        return {name: localised(each, zone) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [localised(each, zone) for each in value]
    found = _FOREIGN_MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    local, offset = f"{found['local']}{found['seconds'] or ':00'}", found["zone"]
    if offset is None:
        return local
    if zone is None:
        raise Fail(f"{value} has a time zone, and dates of 1C have none: set plugins.onec.time_zone to the 1C server's")
    offset = "+00:00" if offset == "Z" else f"{offset[:3]}:{offset[-2:]}"
    return datetime.fromisoformat(local + offset).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M:%S")


def numbered(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with the rows of tabular parts numbered from 1, without which 1C breaks off with an internal error."""
    return {
        name: [{**row, "LineNumber": str(number)} for number, row in enumerate(value, 1)] if _is_part(value) else value
        for name, value in data.items()
    }


def same(sent: Any, got: Any) -> bool:
    """Whether 1C has what was sent: it has numbers as texts, empty values of many kinds, and no spaces at the end."""
    if isinstance(sent, list) and isinstance(got, list):
        return len(sent) == len(got) and all(same(*pair) for pair in zip(sent, got, strict=True))
    if isinstance(sent, Mapping) and isinstance(got, Mapping):
        return all(name in got and same(value, got[name]) for name, value in sent.items())
    if sent is None:
        return any(got == empty and isinstance(got, type(empty)) for empty in _EMPTY) or got == []
    if isinstance(sent, bool) or isinstance(got, bool):
        return sent is got
    if isinstance(sent, (int, float)) or isinstance(got, (int, float)):
        try:
            return Decimal(str(sent)) == Decimal(str(got))
        except InvalidOperation:
            return False
    if isinstance(sent, str) and isinstance(got, str):
        return sent.rstrip() == got.rstrip() or (is_guid(sent) and sent.lower() == got.lower())
    return bool(sent == got)


def unknown(data: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """The names in `data` that the object does not have. 1C passes over them without a word."""
    found = [name for name in data if name not in there]
    for name, rows in data.items():
        known = there.get(name)
        if _is_part(rows) and isinstance(known, list) and known:
            found += sorted({f"{name}/{key}" for row in rows for key in row if key not in known[0]})
    return found


def _is_part(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)
