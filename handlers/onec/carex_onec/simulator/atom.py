"""What 1C says to those who do not ask for JSON, and its description of itself, which is XML only."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from carex_onec.simulator.entities import Entity

_DATA = "http://schemas.microsoft.com/ado/2007/08/dataservices"


def feed(found: dict[str, Any]) -> str:
    rows = found.get("value", [found])
    entries = "".join(
        "<entry><content><m:properties>"
        + "".join(f"<d:{name}>{escape(str(value))}</d:{name}>" for name, value in row.items())
        + "</m:properties></content></entry>"
        for row in rows
    )
    return f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:d="{_DATA}" xmlns:m="{_DATA}/metadata">{entries}</feed>'


def metadata(entities: Iterable[Entity]) -> str:
    types = "".join(
        f'<EntityType Name="{each.name}"><Key>'
        + "".join(f'<PropertyRef Name="{name}"/>' for name in each.keys)
        + "</Key>"
        + "".join(
            f'<Property Name="{name}" Type="Edm.{type.partition("(")[0]}"/>' for name, type in each.attributes.items()
        )
        + "</EntityType>"
        for each in entities
    )
    return (
        '<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"><edmx:DataServices>'
        f'<Schema Namespace="StandardODATA">{types}</Schema></edmx:DataServices></edmx:Edmx>'
    )
