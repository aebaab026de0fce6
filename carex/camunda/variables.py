"""Variables on their way between Python, messages and the engine, where each has a type.

`typed` makes them from what a handler returned, `check` judges those of an answer from outside, `plain` gives a
handler what a process holds. All sides speak the engine's form, `{"value": …, "type": …}`.
"""

from __future__ import annotations

import json as jsons
import math
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

LONGEST_STRING = 4000
"""Characters that the engine stores of a String; more is an error of its database."""
LONGEST_NAME = 255
MOST_VARIABLES = 200
DEEPEST = 20
FORM = frozenset({"value", "type", "valueInfo", "local"})
"""What a typed variable may consist of."""

_BITS = {"Short": 15, "Integer": 31, "Long": 63}
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?(Z|z|[+-]\d\d(?::?\d\d)?)?")


def typed(value: Any, *, json: bool = True) -> dict[str, Any]:
    """The typed variable for a value. Long text, lists and dicts become Json, or, for an engine without it (`json`
    False), a String of JSON or, over 4,000 characters, Bytes. Raises ValueError if the value is not JSON."""
    if value is None:
        return {"value": None, "type": "Null"}
    if isinstance(value, bool):
        return {"value": value, "type": "Boolean"}
    if isinstance(value, int):
        fits = next((name for name in ("Integer", "Long") if _fits(value, name)), None)
        return {"value": value, "type": fits} if fits else {"value": str(value), "type": "String"}
    if isinstance(value, float):
        return {"value": _finite(value), "type": "Double"}
    if isinstance(value, str) and len(value) <= LONGEST_STRING:
        return {"value": _text(value), "type": "String"}
    found = {"value": _dump(value), "type": "Json"}
    return found if json else _as_text(found)


def typed_all(values: Mapping[str, Any], *, json: bool = True) -> dict[str, dict[str, Any]]:
    return {name: typed(value, json=json) for name, value in values.items()}


def check(variables: Any) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The variables of an answer in the form that the engine takes, and what is wrong with the others.

    What has no type, and a String that is too long for one, is typed by its value; dates in other forms are rewritten.
    Never taken: Object (Java's own serialisation), File, a date without a zone, numbers that do not fit.
    """
    if variables is None:
        return {}, []
    if not isinstance(variables, Mapping):
        return {}, ["variables must be an object {name: {value, type}}"]
    if len(variables) > MOST_VARIABLES:
        return {}, [f"{len(variables)} variables are more than {MOST_VARIABLES}"]
    good: dict[str, dict[str, Any]] = {}
    problems = []
    for name, given in variables.items():
        try:
            _check_name(name)
            good[name] = _variable(given)
        except (ValueError, RecursionError) as error:
            problems.append(f"variable {str(name)[:60]!r}: {error}")
    return good, problems


def without_json(variables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same for an engine that knows no Json: a String of it instead, or Bytes where that is too long."""
    return {name: _as_text(each) if each.get("type") == "Json" else dict(each) for name, each in variables.items()}


def plain(variables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The values alone, as a handler's payload: Json is parsed, Bytes stay base64."""
    return {name: _plain(each) for name, each in variables.items()}


def _plain(variable: Mapping[str, Any]) -> Any:
    value = variable.get("value")
    form = (variable.get("valueInfo") or {}).get("serializationDataFormat")
    if isinstance(value, str) and (variable.get("type") == "Json" or form == "application/json"):
        try:
            return jsons.loads(value)
        except (ValueError, RecursionError):
            return value  # the engine stores broken Json too; the handler sees what there is
    return value


def _variable(given: Any) -> dict[str, Any]:
    if depth(given) > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST}")
    if not (isinstance(given, Mapping) and given and given.keys() <= FORM):
        return typed(given)
    value, kind = given.get("value"), given.get("type")
    if kind is None:
        return typed(value)
    found = _KINDS.get(kind.lower()) if isinstance(kind, str) else None
    if found is None:
        names = ", ".join(name for name, _ in _KINDS.values())
        raise ValueError(f"type {str(kind)[:40]!r} is not taken; there are {names}")
    name, convert = found
    if name == "String" and isinstance(value, str) and len(value) > LONGEST_STRING:
        return typed(value)
    return {"value": None if value is None else convert(value), "type": name}


def depth(value: Any) -> int:
    """How deep lists and dicts are nested: 0 for anything else."""
    deep, level = 0, [value]
    while level := [each for each in level if isinstance(each, (Mapping, list, tuple))]:
        deep += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, Mapping) else each)]
    return deep


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"its name must have 1 to {LONGEST_NAME} characters")
    if not name.isprintable():
        raise ValueError("its name has control characters")


def _string(value: Any) -> str:
    text = value if isinstance(value, str) else _dump(value)
    if len(text) > LONGEST_STRING:
        raise ValueError(f"engines store no String over {LONGEST_STRING} characters; send Json or Bytes")
    return _text(text)


def _integer(kind: str) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,20}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not _fits(value, kind):
            raise ValueError(f"{_short(value)} is not a {kind}")
        return value

    return convert


def _double(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{_short(value)} is not a Double") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{_short(value)} is not a Double")
    return _finite(value)


def _boolean(value: Any) -> bool:
    known = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(known, bool):
        raise ValueError(f"{_short(value)} is not a Boolean")
    return known


def moment(date: str) -> float:
    """Unix seconds of a date as the engine writes it, `2026-11-21T10:20:30.123+0300`; raises ValueError for others."""
    return datetime.strptime(date, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def _date(value: Any) -> str:
    """The one form that the engine reads, `2026-11-21T10:20:30.123+0300`, from the forms of ISO 8601."""
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"{_short(value)} is not a Date; write 2026-11-21T10:20:30.000+0300")
    day, minute, second, fraction, zone = found.groups()
    if zone is None:
        raise ValueError(f"{_short(value)} has no time zone; write 2026-11-21T10:20:30.000+0300")
    offset = "+0000" if zone in "Zz" else f"{zone.replace(':', ''):0<5}"
    text = f"{day}T{minute}{second or ':00'}.{(fraction or '')[:3]:0<3}{offset}"
    try:
        moment(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{_short(value)} is not a Date") from None
    return text


def _json(value: Any) -> str:
    """JSON as text; engines take broken JSON too, so it is read here."""
    if not isinstance(value, str):
        return _dump(value)
    try:
        read = jsons.loads(value, parse_constant=_no_number)
    except ValueError as error:
        raise ValueError(f"its value is not JSON: {error}") from None
    if depth(read) > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST}")
    return value


def _bytes(value: Any) -> str:
    try:
        b64decode(value, validate=True)
    except (NotBase64, TypeError, ValueError):
        raise ValueError("its value is not base64") from None
    return str(value)


def _xml(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the value of an Xml is text")
    return _text(value)


def _null(value: Any) -> None:
    raise ValueError(f"{_short(value)} is not Null")


_KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    name.lower(): (name, convert)
    for name, convert in (
        ("String", _string),
        ("Integer", _integer("Integer")),
        ("Long", _integer("Long")),
        ("Short", _integer("Short")),
        ("Double", _double),
        ("Boolean", _boolean),
        ("Date", _date),
        ("Null", _null),
        ("Json", _json),
        ("Bytes", _bytes),
        ("Xml", _xml),
    )
}


def _as_text(variable: Mapping[str, Any]) -> dict[str, Any]:
    text = variable["value"]
    if text is not None and text.startswith('"'):  # only text: then no quotes are needed around it
        text = jsons.loads(text)
    if text is None or len(text) <= LONGEST_STRING:
        return {"value": text, "type": "String"}
    return {"value": b64encode(text.encode()).decode(), "type": "Bytes"}


def _fits(value: int, kind: str) -> bool:
    bits: int = _BITS[kind]
    return -(1 << bits) <= value < 1 << bits


def _finite(value: float) -> float:
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError("numbers must be finite")
    return value


def _text(value: str) -> str:
    """Refuse what some databases of engines, or UTF-8, cannot store."""
    if "\0" in value:
        raise ValueError("text must not contain NUL characters")
    _encodable(value)
    return value


def _dump(value: Any) -> str:
    try:
        text = jsons.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from None
    except ValueError:
        raise ValueError("numbers must be finite") from None
    _encodable(text)
    return text


def _encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("this text is not UTF-8") from None


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number in JSON")


def _short(value: Any) -> str:
    return repr(value)[:60]
