"""One HTTP connection, with limits that uvicorn lacks: on the size of a head, on the time of a request, and on silence."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 120.0
"""Seconds from the first byte of a request to its last; a client that takes longer is disconnected."""
MAX_HEAD_SIZE = 64 << 10
"""The most bytes of a request's line and headers."""


class HttpProtocol(HttpToolsProtocol):
    """A connection that a client can hold neither with a request that never ends nor by sending nothing at all."""

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self._timer: asyncio.TimerHandle | None = None
        self._is_in_head = False
        self._head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection where no request begins for as long as an idle one stays open."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers of a connection that has ended."""
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep a connection of which the client closed its half only until the request that is whole has its response."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, and close the connection where a head becomes too large."""
        super().data_received(data)
        if self._is_in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD_SIZE and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Start the clock of the request whose first byte has arrived."""
        super().on_message_begin()
        self._is_in_head, self._head_size = True, 0
        self._stop_timer()
        self._timer = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        """Note that the head of the request has ended."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock of the request, which is whole."""
        self._stop_timer()
        super().on_message_complete()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
