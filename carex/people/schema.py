"""The schema of `people.db`, for whoever opens it."""

from __future__ import annotations

SCRIPTS = ("schema.sql", "schema_2.sql")


def migrations() -> list[str]:
    """The scripts that make the file what this Carex expects, oldest first."""
    from importlib.resources import files

    return [files("carex.people").joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS]
