"""The address of a call: which portal user, which secret, which method, and with which parameters."""

import json
import re
from dataclasses import dataclass
from typing import Any

from carex_bitrix24.simulator.call import Refusal
from carex_bitrix24.simulator.phpform import as_map, decode_multipart, decode_query

_CALL = re.compile(r".*?/rest/(?P<v3>api/)?(?P<user>\d+)/(?P<secret>[^/]+)/(?P<method>[^/]*)/?")


@dataclass(frozen=True)
class Address:
    """A webhook call as its path spells it."""

    v3: bool
    user: str
    secret: str
    method: str


def parse_address(path: str) -> Address | None:
    """Read `/rest/USER/SECRET/METHOD[.json]` or `/rest/api/USER/SECRET/METHOD`; None for any other path."""
    found = _CALL.fullmatch(path)
    if not found:
        return None
    return Address(bool(found["v3"]), found["user"], found["secret"], found["method"].removesuffix(".json"))


def read_params(query: str, content_type: str, body: bytes) -> dict[str, Any]:
    """Return the parameters of a request; what is in the body wins over what is in the query."""
    params = decode_query(query)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return params | _json_params(body)
    if kind == "multipart/form-data":
        return params | decode_multipart(body, content_type)
    return params | decode_query(body.decode(errors="replace"))


def read_v3_params(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the parameters of a REST 3 request, which are in the JSON body and nowhere else; refuse another body."""
    if not body:
        return {}
    try:
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise ValueError(content_type)
        return as_map(json.loads(body))
    except ValueError:
        raise Refusal("INVALIDJSON", "The request body is not valid JSON") from None


def _json_params(body: bytes) -> dict[str, Any]:
    try:
        return as_map(json.loads(body)) if body else {}
    except ValueError:
        return {}
