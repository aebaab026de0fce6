"""A list of employees in a CSV file, as spreadsheets write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from carex.errors import PartlyFailed, UsageError
from carex.people.until import parse_until
from carex.people.user import parse_id, parse_name

COLUMNS = {
    "id": "id",
    "ид": "id",
    "name": "name",
    "имя": "name",
    "фио": "name",
    "excluded": "excluded",
    "исключен": "excluded",
    "excluded until": "excluded_until",
    "исключен до": "excluded_until",
}
"""Headings in lower case, with е for ё and a space for an underscore."""

YES = {"1", "yes", "y", "true", "+", "x", "да", "истина"}
NO = {"0", "no", "n", "false", "-", "", "нет", "ложь"}


@dataclass(frozen=True)
class Line:
    """An employee in the file. `excluded` None: the file does not say."""

    id: int
    name: str
    excluded: bool | None = None
    excluded_until: float | None = None


@dataclass(frozen=True)
class Sheet:
    """What could be read of a file, and which lines could not, each with its number and the reason."""

    lines: Sequence[Line]
    problems: Sequence[str]

    def check(self, others: str) -> None:
        """Raise `PartlyFailed` if a line could not be read, saying what the others are: imported, or only good."""
        if self.problems:
            count = f"{len(self.problems)} of {len(self.problems) + len(self.lines)} lines are bad"
            raise PartlyFailed(
                "\n  ".join([f"{count}, the others are {others}:", *self.problems]),
                "Correct these lines and import the file again.",
            )


def read_sheet(file: Path) -> Sheet:
    """Read `id,name[,excluded][,excluded_until]`: UTF-8 or Windows-1251, commas or semicolons, columns in any order."""
    heading, rows = _rows(file)
    columns = [COLUMNS.get(cell.strip().lower().replace("ё", "е").replace("_", " ")) for cell in heading]
    if "id" not in columns or "name" not in columns:
        raise UsageError(
            f"{file}: the first line must name the columns id and name; it is {', '.join(heading)[:80]!r}.",
            "For example: id,name,excluded,excluded_until",
        )
    lines: dict[int, Line] = {}
    problems = []
    for number, row in rows:
        try:
            line = _line({column: cell for column, cell in zip(columns, row, strict=False) if column})
            if line.id in lines:
                raise UsageError(f"the id {line.id} is in the file twice.")
        except UsageError as error:  # one bad line does not stop the rest
            problems.append(f"line {number}: {error.message}")
        else:
            lines[line.id] = line
    return Sheet(list(lines.values()), problems)


def _rows(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The heading, and the rows that are not empty, each with the number of its first line."""
    text = read_text(file)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in text.partition("\n")[0] else ",")
    rows, number = [], 1
    try:
        for row in reader:
            rows.append((number, row))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{file}, line {number}: {error}.") from None
    heading = rows[0][1] if rows else []
    return heading, [(number, row) for number, row in rows[1:] if any(cell.strip() for cell in row)]


def read_text(file: Path) -> str:
    """The text of a file in UTF-8 or, as older spreadsheets write it, Windows-1251. Raises `UsageError`."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1251")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not text in UTF-8 or Windows-1251.", "Save it as “CSV UTF-8”.") from None


def _line(raw: Mapping[str, str]) -> Line:
    if any("\n" in cell for cell in raw.values()):
        raise UsageError("a cell goes on in the next line: a quotation mark is not closed.")
    cells = {column: cell.strip() for column, cell in raw.items()}
    id, name = parse_id(cells.get("id", "")), parse_name(cells.get("name", ""))
    said = cells.get("excluded", "").lower()
    if said not in YES | NO:
        raise UsageError(f"{said[:40]!r} under “excluded” is neither yes nor no.")
    until = parse_until(cells["excluded_until"], 0.0) if cells.get("excluded_until") else None
    if said in NO and (said or until is None):
        return Line(id, name, False if "excluded" in cells or "excluded_until" in cells else None)
    return Line(id, name, True, until)
