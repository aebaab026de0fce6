"""Templates of mail: NAME.txt and NAME.html in a folder, with `{{ variable }}` where something is to be put in.

The text may begin with a line `Subject: …`. A variable inside another is `{{ order.number }}`. In HTML what is put in
is escaped, so that a customer's name cannot be a link.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_NAME = re.compile(r"\w[\w-]{0,99}")
_HOLE = re.compile(r"\{\{\s*(\w+(?:\.\w+)*)\s*\}\}")


class Filled(NamedTuple):
    """What a template gives; what it does not have is empty."""

    subject: str
    text: str
    html: str


def fill(folder: Path, name: str, variables: Mapping[str, Any]) -> Filled:
    """Raises ValueError if there is no such template, or it wants a variable that is not there."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"template {name[:100]!r}: its name is that of its files, without .txt")
    text, page = (_read(folder / f"{name}{ending}") for ending in (".txt", ".html"))
    if text is None and page is None:
        raise ValueError(f"there is no template {name!r}: neither {name}.txt nor {name}.html in mail_templates")
    subject, body = _split(text or "")
    put = _values(name, variables)
    return Filled(_HOLE.sub(put(str), subject), _HOLE.sub(put(str), body), _HOLE.sub(put(html.escape), page or ""))


def _values(template: str, variables: Mapping[str, Any]) -> Callable[[Callable[[str], str]], Any]:
    def put(escape: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
        def value(hole: re.Match[str]) -> str:
            found: Any = variables
            for part in hole[1].split("."):
                if not isinstance(found, Mapping) or part not in found:
                    raise ValueError(f"template {template!r} wants {hole[1]!r}, which template_vars does not have")
                found = found[part]
            return escape("" if found is None else str(found))

        return value

    return put


def _split(text: str) -> tuple[str, str]:
    first, _, rest = text.partition("\n")
    if not first.lower().startswith("subject:"):
        return "", text
    return first.partition(":")[2].strip(), rest.lstrip("\r\n")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"template {path.name} cannot be read: {error}") from None
