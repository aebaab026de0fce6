"""`batch`: up to fifty calls in one request, each as text in the way PHP reads addresses.

Such text has no null, no booleans, no numbers and no empty lists. A call that needs them is not put into a batch
behind its author's back: it goes alone, as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from carex_bitrix24.answers import Kind, Verdict, classify

MOST = 50
MOST_VALUES = 200
"""A call with more values goes alone: PHP reads a thousand, unless told otherwise."""
LONGEST = 20_000
"""A call whose text is longer goes alone."""


def command(method: str, params: Mapping[str, Any], *, references: bool = False) -> str | None:
    """The call as text, or None if it cannot be said so. Only with `references` may it contain `$result[…]`."""
    values = []
    for path, value in _leaves(params):
        if isinstance(value, (bool, bytes)) or not isinstance(value, (str, int, float)):
            return None
        if any(not part or set(part) & set("[]$") for part in path):
            return None
        text = str(value)
        if "$result" in text and not references:
            return None
        name = quote(path[0], safe="") + "".join(f"[{quote(part, safe='')}]" for part in path[1:])
        values.append(f"{name}={quote(text, safe='')}")
    said = f"{method}?{'&'.join(values)}" if values else method
    return said if references or (len(values) <= MOST_VALUES and len(said) <= LONGEST) else None


def split(answer: Verdict, names: Sequence[str]) -> list[Verdict]:
    """What the answer to a batch says about each of its commands; an answer that is none says the same about all."""
    if answer.kind is not Kind.DONE:
        return [answer] * len(names)
    parts = answer.result if isinstance(answer.result, Mapping) else {}
    results, errors = _named(parts.get("result")), _named(parts.get("result_error"))
    beside = {part: _named(parts.get(f"result_{part}")) for part in ("time", "next", "total")}
    return [_one(name, results, errors, beside) for name in names]


def _one(
    name: str,
    results: Mapping[str, Any],
    errors: Mapping[str, Any],
    beside: Mapping[str, Mapping[str, Any]],
) -> Verdict:
    error = errors.get(name)
    if error:
        return classify(200, error if isinstance(error, Mapping) and "error" in error else {"error": str(error)})
    if name in results or name in beside["time"]:  # a null may be left out of the results
        return classify(200, {"result": results.get(name), **{part: of.get(name) for part, of in beside.items()}})
    return Verdict(Kind.OUTAGE, "the portal's answer to the batch does not mention this call")


def _named(part: Any) -> Mapping[str, Any]:
    """PHP writes an empty map as an empty list, and one with the keys 0, 1, 2 … as a list too."""
    if isinstance(part, list):
        return {str(number): each for number, each in enumerate(part)}
    return part if isinstance(part, Mapping) else {}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and (value or not path):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, str(name)))
    elif isinstance(value, (list, tuple)) and value:
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(number)))
    else:
        yield path, value
