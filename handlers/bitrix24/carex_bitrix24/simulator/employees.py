"""The people of the portal and its departments, the same ones every time."""

from dataclasses import dataclass

_NAMES = (
    ("Анна", "F"),
    ("Борис", "M"),
    ("Вера", "F"),
    ("Глеб", "M"),
    ("Дарья", "F"),
    ("Егор", "M"),
    ("Жанна", "F"),
    ("Захар", "M"),
    ("Ирина", "F"),
    ("Кирилл", "M"),
    ("Лидия", "F"),
    ("Максим", "M"),
    ("Нина", "F"),
)
_SURNAMES = ("Орлов", "Лебедев", "Соколов", "Голубев", "Воробьёв", "Журавлёв", "Снегирёв", "Дроздов", "Зябликов")
_POSITIONS = ("Менеджер по продажам", "Старший менеджер", "Специалист поддержки")


@dataclass(frozen=True)
class Employee:
    """One person; `workday` is what the time clock shows, `absences` are pairs of ISO dates, both included.

    `kind` is employee or extranet (bots and the like are never told of), `departments` are further ones, `tracked`
    says whether the time clock runs for this person at all; the portal shows CLOSED for everybody else.
    """

    id: int
    name: str
    last_name: str
    gender: str = "M"
    position: str = ""
    department: int = 2
    email: str = ""
    active: bool = True
    online: bool = True
    workday: str = "OPENED"
    skills: str = ""
    absences: tuple[tuple[str, str], ...] = ()
    departments: tuple[int, ...] = ()
    time_zone: str = ""
    admin: bool = False
    kind: str = "employee"
    tracked: bool = True


@dataclass(frozen=True)
class Department:
    """One node of the company structure; `parent` 0 is the top."""

    id: int
    name: str
    parent: int
    head: int


DEPARTMENTS = (
    Department(1, "Компания", 0, 1),
    Department(2, "Отдел продаж", 1, 1),
    Department(3, "Отдел поддержки", 1, 2),
)


def employee(number: int) -> Employee:
    """Return the person who has this id on every simulated portal."""
    name, gender = _NAMES[(number - 1) % len(_NAMES)]
    surname = _SURNAMES[(number - 1) % len(_SURNAMES)]
    return Employee(
        id=number,
        name=name,
        last_name=surname + "а" * (gender == "F"),
        gender=gender,
        position=_POSITIONS[(number - 1) % len(_POSITIONS)],
        department=3 if number % 3 == 0 else 2,
        email=f"user{number}@portal.example",
        admin=number == 1,
    )
