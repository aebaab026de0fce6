"""Ids as robots, people and process engines write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

LARGEST = 2**63 - 1
MOST_CONTACTS = 50
_DIGITS = re.compile(r"[1-9][0-9]{0,18}")
# What a robot sends when it could not fill something in: {{Contact: ID}} or {=Document:CONTACT_ID}.
_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}|\{=[^{}]*\}")


def read_id(value: Any) -> int:
    """An id from an int or digits; raises a ValueError that says what is expected."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _DIGITS.fullmatch(value):
        number = int(value)
    else:
        number = 0
    if not 1 <= number <= LARGEST:
        raise _expected("a positive whole number such as 123", value)
    return number


def read_person(value: Any) -> int | None:
    """An employee's id as robots write it: 7, "7" or "user_7"; None for nothing and for an unfilled placeholder."""
    if is_blank(value):
        return None
    return read_id(value.strip().removeprefix("user_") if isinstance(value, str) else value)


def read_contacts(value: Any) -> tuple[int, ...]:
    """Contact ids from an int, a list, or text such as "5", "5,6" and "5 6", each id once.

    Nothing, 0 (the portal's own "no contact") and unexpanded placeholders count as no contact. Raises ValueError
    for anything else.
    """
    if isinstance(value, str):
        parts: list[Any] = re.split(r"[,;\s]+", _PLACEHOLDER.sub(" ", value))
    elif isinstance(value, (list, tuple)):
        parts = [part for each in value for part in (read_contacts(each) if isinstance(each, str) else [each])]
    else:
        parts = [value]
    found = tuple(dict.fromkeys(_contact(part, value) for part in parts if not _is_nobody(part)))
    if len(found) > MOST_CONTACTS:
        raise _expected(f"at most {MOST_CONTACTS} contacts", value)
    return found


def is_blank(value: Any) -> bool:
    """Whether a field says nothing: absent, empty, or a placeholder that the robot did not fill in."""
    return value is None or (isinstance(value, str) and not _PLACEHOLDER.sub("", value).strip())


def _is_nobody(value: Any) -> bool:
    return value is None or value == "" or value == "0" or (value == 0 and type(value) is int)


def _contact(part: Any, whole: Any) -> int:
    try:
        return read_id(part)
    except ValueError:
        raise _expected("one or more contact ids such as 5 or 5,6, or nothing", whole) from None


def _expected(what: str, value: Any) -> PydanticCustomError:
    if value is None or value == "":
        got = "nothing"
    else:
        got = "a list" if isinstance(value, list) else "a map" if isinstance(value, dict) else repr(value)[:40]
    return PydanticCustomError("id", "expected {what}, got {got}", {"what": what, "got": got})


# What the JSON schema shows; the functions above decide.
_Written = Annotated[int, Field(ge=1, le=LARGEST)] | Annotated[str, Field(pattern=f"^{_DIGITS.pattern}$")]
Id = Annotated[int, BeforeValidator(read_id, json_schema_input_type=_Written)]
Contacts = Annotated[
    tuple[int, ...], BeforeValidator(read_contacts, json_schema_input_type=int | str | list[int | str] | None)
]
Person = Annotated[int | None, BeforeValidator(read_person, json_schema_input_type=int | str | None)]
