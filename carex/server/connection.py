"""One caller's connection, as uvicorn has it, but neither patient without end nor with room for everything."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIME = 10.0
"""Seconds in which a request's head, its first line and its headers, has to arrive; what is silent for longer goes."""
HEAD_SIZE = 65536
"""Bytes that a head may have, beside those that arrived together with its end."""


class Connection(HttpToolsProtocol):
    """uvicorn sets no limit to either: a thousand callers that send a byte a minute would be a thousand for ever."""

    _arriving = False
    _size = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arriving, self._size = True, 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._arriving = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._arriving or self.cycle is None or self.cycle.response_complete:
            self._size += len(data)
            self._expect()
            if self._size > HEAD_SIZE:
                self.send_400_response("The head of the request is too large.")
        else:
            self._relax()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIME, self.transport.abort)

    def _relax(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
