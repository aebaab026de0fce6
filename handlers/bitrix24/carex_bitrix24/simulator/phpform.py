"""Forms and query strings, decoded the way PHP decodes them into $_GET and $_POST.

A Bitrix24 portal is a PHP program: `fields[A][]=1` means there what PHP says it means. Clients that agree with
another decoder and not with this one break on a real portal.
"""

import email.parser
import email.policy
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_UNDERSCORED = str.maketrans(" .[", "___")

Array = dict[int | str, Any]


def decode_query(text: str) -> dict[str, Any]:
    """Return the parameters of a query string or of an urlencoded body."""
    pairs = []
    for piece in text.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return decode_pairs(pairs)


def decode_multipart(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the parameters of a multipart body; its files are left out, as PHP keeps them elsewhere."""
    head = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    pairs = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and part.get_filename() is None:
            content = part.get_payload(decode=True)
            pairs.append((name, content.decode(errors="replace") if isinstance(content, bytes) else ""))
    return decode_pairs(pairs)


def decode_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return nested maps and lists for names in bracket syntax; of two equal names the last wins."""
    root: Array = {}
    for name, value in pairs:
        path = key_path(name)
        if path:
            _place(root, path, value)
    return {str(key): _settle(value) for key, value in root.items()}


def key_path(name: str) -> list[str | None]:
    """Split `a[x][]` into ["a", "x", None]; None is "the next free number". An unusable name gives []."""
    name = name.lstrip(" ")
    head, bracket, rest = name.partition("[")
    if not head:
        return []
    head = head.translate(_UNDERSCORED)
    path: list[str | None] = [head]
    rest = bracket + rest
    while rest.startswith("["):
        empty = re.match(r"\[\s?\]", rest)
        close = rest.find("]", 1)
        if empty:
            path.append(None)
            close = empty.end() - 1
        elif close < 0:
            # PHP: a bracket that never closes is an ordinary character of the name, but only the first one.
            return [head + "_" + rest[1:].translate(_UNDERSCORED)] if len(path) == 1 else path
        else:
            path.append(rest[1:close])
        rest = rest[close + 1 :]
    return path


def php_json(values: Mapping[str, Any]) -> Any:
    """Return what PHP's JSON makes of a map: [] if it is empty, a list if its keys are 0, 1, 2…"""
    if list(values) == [str(number) for number in range(len(values))]:
        return list(values.values())
    return dict(values)


def as_map(value: Any) -> dict[str, Any]:
    """Read a parameter that should be a map; PHP knows no difference between a map and a list."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list):
        return {str(number): item for number, item in enumerate(value)}
    return {}


def as_list(value: Any) -> list[Any]:
    """Read a parameter that should be a list; a single value is a list of one, nothing is an empty list."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def _place(root: Array, path: list[str | None], value: str) -> None:
    node = root
    for step in path[:-1]:
        key = _key(node, step)
        if not isinstance(node.get(key), dict):
            node[key] = {}
        node = node[key]
    node[_key(node, path[-1])] = value


def _key(node: Array, step: str | None) -> int | str:
    if step is None:
        return max((key + 1 for key in node if isinstance(key, int) and key >= 0), default=0)
    return int(step) if _INTEGER.fullmatch(step) else step


def _settle(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if list(value) == list(range(len(value))):
        return [_settle(item) for item in value.values()]
    return {str(key): _settle(item) for key, item in value.items()}
