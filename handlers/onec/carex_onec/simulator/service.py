"""One HTTP service, as its programmer may have written it: `carex/v1`, with `ping`, `sync` and `echo`.

`sync` keeps the keys that it has seen, as the README asks; `echo` does not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from carex_onec.simulator.publication import Publication


def answer(here: Publication, request: Request, path: str, body: bytes) -> Response:
    given: Any = json.loads(body) if body else None
    if path == "carex/v1/ping" and request.method == "GET":
        return _said(here, 200, {"status": "ok"})
    if path == "carex/v1/sync" and request.method == "POST":
        key = given["key"]
        if key not in here.kept_keys:
            status, result = here.service(given["operation"], given["payload"])
            if status >= 300:
                return _said(here, status, result)
            here.calls.append((given["operation"], given["payload"]))
            here.kept_keys[key] = (status, result)
        return _said(here, *here.kept_keys[key])
    if path == "carex/v1/echo":
        status, result = here.service(request.method, given)
        here.calls.append((request.method, given))
        return _said(here, status, {"query": dict(request.query_params), "given": given, **result})
    return Response("", 404)


def _said(here: Publication, status: int, body: Any) -> Response:
    text = json.dumps(body, ensure_ascii=False).encode()
    mark = b"\xef\xbb\xbf" if here.byte_order_mark else b""
    return Response(mark + text, status, {"Content-Type": here.content_type})
