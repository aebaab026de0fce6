"""Lists: which rows a filter lets through, in which order, and which fifty of them make the page."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from carex_bitrix24.simulator.call import Reply, truth, whole
from carex_bitrix24.simulator.phpform import as_list, as_map

PAGE = 50
PORTAL_ZONE = timezone(timedelta(hours=3))

Row = Mapping[str, Any]
_PREFIXES = ("!=%", "!%=", ">=", "<=", "!@", "!%", "!=", "=%", "%=", ">", "<", "@", "%", "=", "!")


def page(rows: Sequence[Any], start: Any) -> Reply:
    """Cut out one page. Start -1 means "do not count": total is 0 and nothing says that there is more."""
    first = whole(start) or 0
    if first < 0:
        return Reply(list(rows[:PAGE]), total=0)
    after = first + PAGE
    return Reply(list(rows[first:after]), total=len(rows), next=after if after < len(rows) else None)


def ordered(rows: Sequence[Row], order: Any, key: str) -> list[Row]:
    """Sort by the fields of `order` (name -> ASC or DESC); without one, by `key`."""
    result = sorted(rows, key=lambda row: _rank(row.get(key)))
    known = [(name, way) for name, way in as_map(order).items() if rows and name in rows[0]]
    for name, way in reversed(known):
        result.sort(key=lambda row: _rank(row.get(name)), reverse=str(way).upper() == "DESC")
    return result


def chosen(row: Row, select: Any, always: str) -> dict[str, Any]:
    """Keep the fields that `select` names; none or `*` keeps all, unknown names are skipped."""
    names = [str(name) for name in as_list(select)]
    if not names or "*" in names:
        return dict(row)
    return {name: value for name, value in row.items() if name in names or name == always}


def matches(row: Row, conditions: Any) -> bool:
    """Whether a row satisfies a filter. Groups nest under numeric keys; `logic: OR` lets any of them do."""
    verdicts = []
    wanted = as_map(conditions)
    either = str(wanted.pop("logic", wanted.pop("LOGIC", "AND"))).upper() == "OR"
    for name, expected in wanted.items():
        if name.isdecimal():
            verdicts.append(matches(row, expected))
            continue
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
        field = name[len(prefix) :]
        if field in row:
            verdicts.append(_TESTS[prefix](row[field], expected))
    return (any(verdicts) if either else all(verdicts)) if verdicts else True


def _rank(value: Any) -> tuple[int, float, str]:
    """Return what values are ordered by: numbers as numbers, dates as moments, the rest as text."""
    try:
        return (0, float(value), "")
    except (TypeError, ValueError):
        pass
    text = str(value)
    when = moment(text) if text[:2].isdecimal() else None
    return (1, 0.0, text) if when is None else (2, when, "")


def moment(text: str) -> float | None:
    """Return the unix time of a date of ISO 8601 or of the portal's own format; without a zone it is the portal's."""
    for read in (_iso, _russian):
        try:
            when = read(text)
        except ValueError:
            continue
        return (when if when.tzinfo else when.replace(tzinfo=PORTAL_ZONE)).timestamp()
    return None


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"Z$", "+00:00", text))


def _russian(text: str) -> datetime:
    return datetime.strptime(text, "%d.%m.%Y %H:%M:%S" if " " in text else "%d.%m.%Y")


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Only like can be compared with like: a word where a date should be finds nothing."""

    def compare(value: Any, expected: Any) -> bool:
        mine, theirs = _rank(value), _rank(expected)
        return mine[0] == theirs[0] and test(mine, theirs)

    return compare


def _same(value: Any, expected: Any) -> bool:
    if isinstance(value, list):
        return any(_same(item, expected) for item in value)
    if isinstance(value, bool):
        return value is truth(expected)
    if isinstance(expected, bool):
        return truth(value) is expected
    return _rank(value) == _rank(expected)


def _is(value: Any, expected: Any) -> bool:
    if isinstance(expected, list | Mapping):
        return any(_same(value, item) for item in as_list(expected))
    return _same(value, expected)


def _contains(value: Any, expected: Any) -> bool:
    return str(expected).strip("%").lower() in str(value).lower()


def _like(value: Any, expected: Any) -> bool:
    pattern, text = str(expected).lower(), str(value).lower()
    if "%" not in pattern:
        return text == pattern
    head, *middle, tail = pattern.split("%")
    if not text.startswith(head) or not text.endswith(tail) or len(text) < len(head) + len(tail):
        return False
    rest = text[len(head) : len(text) - len(tail)]
    for piece in middle:
        _, found, rest = rest.partition(piece) if piece else ("", "yes", rest)
        if not found:
            return False
    return True


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "": _is,
    "=": _is,
    "@": _is,
    "!": lambda value, expected: not _is(value, expected),
    "!=": lambda value, expected: not _is(value, expected),
    "!@": lambda value, expected: not _is(value, expected),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "<": _compared(operator.lt),
    "<=": _compared(operator.le),
    "%": _contains,
    "!%": lambda value, expected: not _contains(value, expected),
    "=%": _like,
    "%=": _like,
    "!=%": lambda value, expected: not _like(value, expected),
    "!%=": lambda value, expected: not _like(value, expected),
}
