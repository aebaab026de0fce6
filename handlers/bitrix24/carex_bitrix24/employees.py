"""Who works at the portal, for `carex users sync`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from carex import Employee
from carex_bitrix24 import plugin
from carex_bitrix24.crm import whole

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal


@plugin.directory
async def employees(portal: Portal) -> list[Employee]:
    """Everybody who is or was an employee, dismissed ones as not active. Needs the scopes user_brief and department."""
    names = {str(each.get("ID")): str(each.get("NAME", "")) async for each in portal.list("department.get", {})}
    asked = {"FILTER": {"USER_TYPE": "employee"}, "sort": "ID", "order": "ASC"}
    return [_employee(each, names) async for each in portal.list("user.get", asked)]


def _employee(given: Mapping[str, Any], departments: Mapping[str, str]) -> Employee:
    name = " ".join(str(given.get(part) or "").strip() for part in ("NAME", "LAST_NAME")).strip()
    units = given.get("UF_DEPARTMENT")
    units = units if isinstance(units, list) else []
    zone = given.get("TIME_ZONE")
    return Employee(
        id=whole(given.get("ID")),
        name=name or f"Employee {given.get('ID')}",
        active=given.get("ACTIVE") in (True, "Y", "1", 1, "true"),
        departments=tuple(departments.get(str(unit)) or str(unit) for unit in units),
        time_zone=zone if isinstance(zone, str) and zone else None,
    )
