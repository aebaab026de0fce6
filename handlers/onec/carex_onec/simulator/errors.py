"""OData's errors, in JSON or in XML, and pages that are not 1C's own."""

from __future__ import annotations

import json
from html import escape

from starlette.responses import Response

STATUSES = {8: 404, 9: 404, 19: 405, 20: 401, 0: 501, -1: 500}


class ODataError(Exception):
    """A request ends with this code; the status is the code's own if none is given."""

    def __init__(self, code: int, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or STATUSES.get(code, 400)

    def response(self, as_json: bool) -> Response:
        if as_json:
            error = {"code": str(self.code), "message": {"lang": "ru", "value": self.message}}
            text = json.dumps({"odata.error": error}, ensure_ascii=False)
            return Response(text, self.status, media_type="application/json;charset=utf-8")
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
            f'<m:code>{self.code}</m:code><m:message xml:lang="ru">{escape(self.message)}</m:message></m:error>'
        )
        return Response(text, self.status, media_type="application/xml;charset=utf-8")


def page(status: int, text: str) -> Response:
    """A page of the web server or of the platform's module in it."""
    body = f"<html><head><title>{escape(text)}</title></head><body><h1>{escape(text)}</h1></body></html>"
    return Response(body, status, media_type="text/html; charset=utf-8")
