"""The employees as a table: who can be given work now, or why not, and what is agreed with each."""

from __future__ import annotations

from collections.abc import Sequence

from carex.cli import output
from carex.people.rules import Rules
from carex.people.user import User


def table(found: Sequence[tuple[User, str | None]], rules: Rules, *, empty: str) -> None:
    """Print the employees, each with why they cannot be given work."""
    rows = [
        (
            user.id,
            user.name,
            _available(user, why),
            f"{user.weight:g}",
            _hours(user, rules),
            _caps(user),
            ", ".join(user.departments) or "–",
            user.assignments,
            output.when(user.last_assigned),
        )
        for user, why in found
    ]
    columns = ["ID", "Name", "Available", "Weight", "Hours", "Limits", "Departments", "Assigned", "Last"]
    output.table(columns, rows, empty=empty)


def _available(user: User, why: str | None) -> str:
    if why is None:
        return "yes"
    return f"no: {why}{f' ({user.reason})' if user.reason else ''}"


def _hours(user: User, rules: Rules) -> str:
    zone = user.time_zone or (rules.time_zone if user.schedule else "")
    return f"{user.schedule or rules.schedule or 'always'}{f' {zone}' if zone else ''}"


def _caps(user: User) -> str:
    caps = {"a day": user.daily_cap, "an hour": user.hourly_cap, "open": user.open_cap}
    return ", ".join(f"{cap} {name}" for name, cap in caps.items() if cap is not None) or "–"
