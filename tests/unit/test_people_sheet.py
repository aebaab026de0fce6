from datetime import datetime
from pathlib import Path

import pytest

from carex.errors import PartlyFailed, UsageError
from carex.people.sheet import Line, Sheet, read_sheet


@pytest.fixture
def sheet_of(tmp_path: Path):
    def sheet_of(text: str, encoding: str = "utf-8") -> Sheet:
        file = tmp_path / "staff.csv"
        file.write_bytes(text.encode(encoding))
        return read_sheet(file)

    return sheet_of


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize(
    "text",
    [
        "id,name\n5,Пётр\n",
        "Name,ID\r\nПётр,5\r\n",
        "ИД;Имя\n5;Пётр",
        "отдел;ФИО;ид\nпродажи; Пётр ;5\n\n;;\n",
        '"id","name"\n"5","Пётр"\n',
    ],
)
def test_files_of_many_kinds_are_read(sheet_of, text, encoding):
    assert sheet_of(text, encoding) == Sheet([Line(5, "Пётр")], [])


@pytest.mark.parametrize(
    ("cells", "excluded", "until"),
    [
        ("да;", True, None),
        ("YES;", True, None),
        ("1;2030-01-31", True, datetime(2030, 1, 31).timestamp()),
        (";31.01.2030", True, datetime(2030, 1, 31).timestamp()),
        ("0;2030-01-31", False, None),
        ("нет;", False, None),
        (";", False, None),
    ],
)
def test_exclusions_are_read(sheet_of, cells, excluded, until):
    sheet = sheet_of(f"id;name;Исключён;excluded_until\n5;Anna;{cells}\n")
    assert sheet == Sheet([Line(5, "Anna", excluded, until)], [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x,Boris", "line 3: 'x' is not an employee's id."),
        ("-2,Boris", "line 3: '-2' is not an employee's id."),
        ("2", "line 3: The name is empty."),
        ("1,Boris", "line 3: the id 1 is in the file twice."),
        ("2,Boris,maybe", "line 3: 'maybe' under “excluded” is neither yes nor no."),
        ("2,Boris,yes,soon", "line 3: 'soon' is not a date or a length of time."),
        ('2,"Boris', "line 3: a cell goes on in the next line: a quotation mark is not closed."),
    ],
)
def test_a_bad_line_is_named_by_its_number(sheet_of, line, problem):
    sheet = sheet_of(f"id,name,excluded,excluded_until\n1,Anna,,\n{line}\n")
    assert (sheet.lines, sheet.problems) == ([Line(1, "Anna", False)], [problem])


def test_a_sheet_with_bad_lines_names_them_all(sheet_of):
    with pytest.raises(
        PartlyFailed, match=r"(?s)2 of 3 lines are bad, the others are good:.*line 2:.*line 4:"
    ) as raised:
        sheet_of("id,name\n,A\n2,B\nc,C\n").check("good")
    assert raised.value.exit_code == 7


@pytest.mark.parametrize("text", ["", "\n", "5,Anna\n", "id,department\n5,sales\n"])
def test_a_file_without_the_columns_is_refused(sheet_of, text):
    with pytest.raises(UsageError, match="must name the columns id and name"):
        sheet_of(text)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    file = tmp_path / "staff.xlsx"
    file.write_bytes(b"\x98\xff\x00")
    with pytest.raises(UsageError, match="is not text"):
        read_sheet(file)


@pytest.mark.parametrize("name", ["nothing-here.csv", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be read"):
        read_sheet(tmp_path / name)
