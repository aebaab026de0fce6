"""One call of a REST method: what it is given, what it gives back, and how the portal says no.

The words of the portal's refusals are checked by clients, so they live next to the code that refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from carex_bitrix24.simulator.phpform import as_map

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal


class Refusal(Exception):
    """An answer that is not a result."""

    def __init__(
        self,
        code: str,
        text: str,
        status: int = 400,
        *,
        system: bool = False,
        validation: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.status = status
        self.system = system
        self.validation = dict(validation or {})

    def old_shape(self) -> dict[str, Any]:
        """Return the body of a REST 2 error: the code is a string."""
        return {"error": self.code, "error_description": self.text}

    def new_shape(self) -> dict[str, Any]:
        """Return the body of a REST 3 error: the error is a map; errors of the whole system keep their code."""
        code = self.code if self.system else f"BITRIX_REST_V3_EXCEPTION_{self.code.upper()}EXCEPTION"
        error: dict[str, Any] = {"code": code, "message": self.text}
        if self.validation:
            error["validation"] = [{"message": text, "field": name} for name, text in self.validation.items()]
        return {"error": error}


@dataclass(frozen=True)
class Reply:
    """What a method gives back; lists say how many rows there are and where the next page starts."""

    result: Any
    total: int | None = None
    next: int | None = None


@dataclass(frozen=True)
class Call:
    """One method with its parameters, on the portal it was sent to."""

    portal: Portal
    method: str
    params: dict[str, Any] = field(default_factory=dict)
    request_no: int = 0

    def given(self, name: str, default: Any = None) -> Any:
        """Return a parameter of an old method, which take their names in any case."""
        if name in self.params:
            return self.params[name]
        for key, value in self.params.items():
            if key.lower() == name.lower():
                return value
        return default

    def needed(self, name: str) -> Any:
        """Return a parameter of a new method, spelt exactly so, or refuse with code 100."""
        value = self.params.get(name)
        if value is None or value == "":
            raise Refusal("100", f"Could not find value for parameter {{{name}}}")
        return value

    def needed_number(self, name: str) -> int:
        """Return a whole number, or refuse with code 100."""
        value = self.needed(name)
        number = whole(value)
        if number is None:
            raise Refusal("100", f"Invalid value {{{value}}} to match with parameter {{{name}}}: not a whole number.")
        return number

    def needed_map(self, name: str) -> dict[str, Any]:
        """Return a map, or refuse with code 100. An empty one counts as given."""
        value = self.needed(name)
        if isinstance(value, str | int | float):
            raise Refusal("100", f"Invalid value to match with parameter {{{name}}}: not an array.")
        return as_map(value)


@dataclass(frozen=True)
class Method:
    """A method of the portal; a webhook may call it if it has one of the scopes, or if there are none.

    `writes` says that a REST 3 method heeds the header Idempotency-Key.
    """

    run: Callable[[Call], Reply]
    scopes: frozenset[str] = frozenset()
    writes: bool = False


def whole(value: Any) -> int | None:
    """Return the whole number that a parameter holds, or None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value)
    return None


def truth(value: Any) -> bool:
    """Read a yes or no in any of the spellings of the portal."""
    return str(value).lower() in {"1", "y", "true"}
