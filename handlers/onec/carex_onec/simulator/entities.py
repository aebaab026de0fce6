"""Kinds of objects and their rows: what an attribute takes, and what becomes of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carex_onec.simulator.errors import ODataError

Row = dict[str, Any]
ZERO = "00000000-0000-0000-0000-000000000000"
_EMPTY = {"String": "", "Int64": "0", "Double": 0, "Boolean": False, "Guid": ZERO, "DateTime": "0001-01-01T00:00:00"}
_FORMS = {"Guid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "DateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"}


@dataclass
class Entity:
    """A kind of objects. Types: String, String(100), Int64, Double, Boolean, Guid, DateTime, Storage."""

    name: str
    attributes: dict[str, str]
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()
    """The keys of a register's records, which have no reference."""
    on_write: Callable[[Row], str | None] | None = None
    """The configuration's own code: a text is an exception, and nothing is written."""
    on_post: Callable[[Row], str | None] | None = None
    hidden: Callable[[Row], bool] | None = None
    """Rows that the user's rights hide."""
    rows: dict[str, Row] = field(default_factory=dict)
    written: int = 0
    """How often something was written, with or without a change."""

    def __post_init__(self) -> None:
        if self.dimensions:
            return
        standard = {"Ref_Key": "Guid", "DataVersion": "String", "DeletionMark": "Boolean"}
        if self.name.startswith("Document_"):
            standard |= {"Number": "String(11)", "Date": "DateTime", "Posted": "Boolean"}
        else:
            standard |= {"Code": "String(9)", "Description": "String(100)"}
        self.attributes = {**standard, **self.attributes}
        self.parts = {name: {"LineNumber": "Int64", **columns} for name, columns in self.parts.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        return self.dimensions or ("Ref_Key",)

    def key_of(self, row: Mapping[str, Any]) -> str:
        return "|".join(str(row.get(name, "")).lower() for name in self.keys)

    def blank(self) -> Row:
        row: Row = {name: _EMPTY.get(_plain(type)) for name, type in self.attributes.items()}
        return {**row, **{name: [] for name in self.parts}}

    def taken(self, body: Mapping[str, Any]) -> Row:
        """What 1C takes from a body: unknown names are passed over, long texts cut, numbers kept as texts."""
        found: Row = {}
        for name, value in body.items():
            if name in self.parts:
                found[name] = self._rows(self.parts[name], value)
            elif name in self.attributes:
                found[name] = value_of(self.attributes[name], value)
        return found

    def write(self, row: Row) -> None:
        """Raises the configuration's exception, and then nothing is written."""
        text = self.on_write(row) if self.on_write else None
        if text:
            raise ODataError(-1, f"Ошибка при выполнении обработчика - 'ПриЗаписи': {text}", 500)
        self.written += 1
        if "DataVersion" in self.attributes:
            row["DataVersion"] = version_after(row["DataVersion"])
        self.rows[self.key_of(row)] = row

    def _rows(self, columns: Mapping[str, str], value: Any) -> list[Row]:
        if not isinstance(value, list) or any("LineNumber" not in row for row in value):
            raise ODataError(-1, "Произошла внутренняя ошибка OData сервиса", 500)
        if [int(row["LineNumber"]) for row in value] != [*range(1, len(value) + 1)]:
            raise ODataError(4, "Неверное значение свойства LineNumber")
        blank = {name: _EMPTY[_plain(type)] for name, type in columns.items()}
        return [{**blank, **{k: value_of(columns[k], v) for k, v in row.items() if k in columns}} for row in value]


def value_of(type: str, value: Any) -> Any:
    plain = _plain(type)
    if isinstance(value, (list, dict)):
        raise ODataError(-1, "Произошла внутренняя ошибка OData сервиса", 500)
    if value is None:
        return _EMPTY[plain]
    if plain == "String":
        limit = re.search(r"\d+", type)
        return str(value)[: int(limit[0]) if limit else None].rstrip()
    if plain == "Boolean" and not isinstance(value, bool):
        raise ODataError(1, f"Не удалось разобрать строку '{value}' как значение типа Edm.Boolean!")
    if plain in _FORMS and not re.fullmatch(_FORMS[plain], str(value)):
        raise ODataError(1, f"Не удалось разобрать строку '{value}' как значение типа Edm.{plain}!")
    if plain == "Int64":
        return str(value) if re.fullmatch(r"-?\d+", str(value)) else "0"
    return float(value) if plain == "Double" else value


def version_after(version: str) -> str:
    number = int.from_bytes(base64.b64decode(version), "big") + 1 if version else 0
    return base64.b64encode(number.to_bytes(8, "big")).decode()


def _plain(type: str) -> str:
    return type.partition("(")[0]
