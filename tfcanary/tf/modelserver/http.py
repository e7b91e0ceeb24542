"""Connects HTTP with the REST API: an ASGI application, and the uvicorn server that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from tfcanary.tf.modelserver.http_protocol import HttpProtocol
from tfcanary.tf.modelserver.rest import MAX_BODY_SIZE, HttpRequest, HttpResponse, RestApi

BACKLOG = 2048
"""The most new connections that wait to be accepted; where the queue is full, a client tries again after a second."""
KEEP_ALIVE = 3600
"""Seconds that an idle connection stays open: longer than with any proxy, because the proxy must be the one that closes it."""
QUICK = 0.002
"""Seconds. A quicker response is computed in the event loop, because a thread costs a third of the throughput."""
SMALL = 64 << 10
"""The most bytes of a request that may be parsed in the event loop."""
MAX_WAITING_SIZE = 1 << 30
"""The most bytes of all bodies together that are being received or wait for a thread; further ones are refused."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """The ASGI application.

    Requests to slow models, and large requests, are computed in threads, so that status and metrics never wait for them.
    """

    def __init__(self, rest: RestApi, threads: int, *, is_quick: bool) -> None:
        """Make the application; without `is_quick` every request is computed in a thread, because it waits for others."""
        self._rest = rest
        self._is_quick = is_quick
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="rest")
        self._seconds = QUICK / 2
        """The time to expect for the next POST request."""
        self._waiting_size = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = dict(scope["headers"])
        try:
            body = await self._receive_body(receive, headers)
        except _ClientDisconnectedError:
            return
        except _BodyTooLargeError as error:
            await _send(send, self._rest.refuse(error.status, error.code, str(error)), (b"connection", b"close"))
            return
        query = scope["query_string"]
        target = (scope["raw_path"] + b"?" + query if query else scope["raw_path"]).decode("latin-1")
        try:
            response = await self._handle(HttpRequest(scope["method"], target, headers, body))
        finally:
            self._waiting_size -= len(body)
        await _send(send, response)

    async def _receive_body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """Return the whole body, which counts as waiting from now on; raises _BodyTooLargeError or _ClientDisconnectedError."""
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > MAX_BODY_SIZE:
            raise _TOO_LARGE
        pieces: list[bytes] = []
        size, more = 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _ClientDisconnectedError
                pieces.append(message.get("body", b""))
                size, more = size + len(pieces[-1]), message.get("more_body", False)
                self._waiting_size += len(pieces[-1])
                if size > MAX_BODY_SIZE:
                    raise _TOO_LARGE
                if self._waiting_size > MAX_WAITING_SIZE:
                    raise _TOO_MANY
        except (_ClientDisconnectedError, _BodyTooLargeError):
            self._waiting_size -= size
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return self._rest.handle(request)
        if self._is_quick and self._seconds < QUICK and len(request.body) < SMALL:
            return self._handle_timed(request)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._handle_timed, request)

    def _handle_timed(self, request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        response = self._rest.handle(request)
        # One slow response may be slow because of the machine; several in a row are slow because of the model. One quick
        # response is proof of a quick model. Hence the expected time at most doubles, but falls at once.
        self._seconds = min(time.perf_counter() - start, 2 * self._seconds)
        return response


class HttpServer(uvicorn.Server):
    """Serves the application, and calls `on_start` once it serves and `on_shutdown` when it begins to shut down.

    SIGTERM and SIGINT end the process at once where `drain_seconds` is None. Otherwise running requests may take this
    number of seconds to finish.
    """

    def __init__(
        self, application: Application, drain_seconds: float | None, on_start: Callable[[], object], on_shutdown: Callable[[], object]
    ) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(
            uvicorn.Config(
                application,
                http=HttpProtocol,
                loop="uvloop",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=drain_seconds,  # type: ignore[arg-type]
            )
        )
        self._drains = drain_seconds is not None
        self._on_start = on_start
        self._on_shutdown = on_shutdown

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, then call `on_start`."""
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Call `on_shutdown`, then accept no new requests and finish those that run."""
        self._on_shutdown()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Set the signal handlers; unlike uvicorn, do not raise the signal again after a drain, so that the exit code is 0."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit if self._drains else signal.SIG_DFL)
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, on all addresses where `host` is empty; raises OSError where the port is taken."""
    if not host:
        with contextlib.suppress(OSError):  # a machine without IPv6
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
    return socket.create_server((host, port), backlog=BACKLOG)


class _BodyTooLargeError(Exception):
    """The body is too large by itself, or together with all others, so it is not read to its end."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


_TOO_LARGE = _BodyTooLargeError(f"the request has more than {MAX_BODY_SIZE} bytes", 413, "RESOURCE_EXHAUSTED")
_TOO_MANY = _BodyTooLargeError("too many bytes of other requests are waiting", 503, "UNAVAILABLE")


class _ClientDisconnectedError(Exception):
    """The client closed the connection before the end of its request: nothing is sent and nothing is counted."""


async def _send(send: Send, response: HttpResponse, *more: tuple[bytes, bytes]) -> None:
    length = str(len(response.content)).encode()
    head = [(b"content-type", response.content_type.encode()), (b"content-length", length), *more]
    await send({"type": "http.response.start", "status": response.status, "headers": head})
    await send({"type": "http.response.body", "body": response.content})
