"""`$filter`: comparisons, `and`, `or`, `not`, and the functions of texts that 1C knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from carex_onec.simulator.entities import Row
from carex_onec.simulator.errors import ODataError

Test = Callable[[Row], Any]
_TOKENS = re.compile(
    r"\s*(?:(?P<typed>(?:guid|datetime)'[^']*')|(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[^\W\d]\w*)|(?P<mark>[(),]))"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "le": lambda a, b: bool(a <= b),
}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "substringof": lambda part, text: part.lower() in text.lower(),
    "startswith": lambda text, part: text.lower().startswith(part.lower()),
    "endswith": lambda text, part: text.lower().endswith(part.lower()),
}


def condition(text: str, known: set[str]) -> Test:
    """A test of rows. Raises code 14 for what cannot be read, and 10 for an attribute that is not there."""
    parser = _Parser(text, known)
    test = parser.either()
    if parser.kind:
        raise ODataError(14, f"Ошибка при разборе опции запроса $filter: '{parser.word}'")
    return test


def literal(text: str) -> Any:
    """A value as it stands in an address."""
    if re.fullmatch(r"(guid|datetime)'[^']*'", text):
        return text.partition("'")[2][:-1].lower() if text.startswith("guid") else text[9:-1]
    if text.startswith("'") and text.endswith("'"):
        return text[1:-1].replace("''", "'")
    return {"true": True, "false": False}.get(text, text)


class _Parser:
    def __init__(self, text: str, known: set[str]) -> None:
        self.text, self.known, self.at = text, known, 0
        self.kind, self.word = "", ""
        self._next()

    def either(self) -> Test:
        tests = [self._both()]
        while self._skip("or"):
            tests.append(self._both())
        return lambda row: any(test(row) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._skip("and"):
            tests.append(self._one())
        return lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        if self._skip("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._skip("("):
            inner = self.either()
            self._need(")")
            return inner
        left = self._value()
        compare = _COMPARE.get(self.word)
        if compare is None:
            return left
        self._next()
        right = self._value()
        return lambda row: compare(*_alike(left(row), right(row)))

    def _value(self) -> Test:
        kind, word = self.kind, self.word
        self._next()
        if kind in ("typed", "text", "number") or word in ("true", "false"):
            found = literal(word)
            return lambda row: found
        if word in _FUNCTIONS:
            call = _FUNCTIONS[word]
            self._need("(")
            one = self._value()
            self._need(",")
            two = self._value()
            self._need(")")
            return lambda row: call(str(one(row)), str(two(row)))
        if kind != "name":
            raise ODataError(14, f"Ошибка при разборе опции запроса $filter: '{word}'")
        if word not in self.known:
            raise ODataError(10, f"Свойство '{word}' не найдено")
        return lambda row: row[word]

    def _skip(self, word: str) -> bool:
        if self.word != word:
            return False
        self._next()
        return True

    def _need(self, word: str) -> None:
        if not self._skip(word):
            raise ODataError(14, f"Ошибка при разборе опции запроса $filter: ожидается '{word}'")

    def _next(self) -> None:
        found = _TOKENS.match(self.text, self.at)
        if found is None:
            if self.text[self.at :].strip():
                raise ODataError(14, f"Ошибка при разборе опции запроса $filter: '{self.text[self.at :]}'")
            self.kind, self.word = "", ""
            return
        self.at = found.end()
        self.kind, self.word = str(found.lastgroup), found[str(found.lastgroup)]


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    """Two values to compare: numbers as numbers, references without regard to case."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a, b
    try:
        return Decimal(str(a)), Decimal(str(b))
    except InvalidOperation:
        return str(a).lower(), str(b).lower()
