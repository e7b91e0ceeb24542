"""Between HTTP and `rest`: an ASGI application, and the uvicorn server that runs it."""

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

from tfcanary.tf.modelserver.rest import LARGEST_BODY, Answer, Call, Rest

BACKLOG = 2048
"""A burst of new connections waits; where the queue is full, each waits a second for its next try."""
KEEP_ALIVE = 3600
"""Seconds. Longer than any proxy keeps an idle connection: whoever closes first must not be the server."""
QUICK = 0.002
"""Seconds. Answers that take less are made in the event loop: a thread costs a third of the throughput."""
SMALL = 64 << 10
"""Bytes of a request that may be read in the event loop."""
THREADS = 4

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """The ASGI application. Slow models and large requests are computed in threads; status and metrics never wait for them."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rest")
        self._seconds = QUICK / 2

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        try:
            body = await _body(receive, headers)
        except _Gone:
            return
        except _TooLarge:
            refusal = self._rest.refuse(413, "RESOURCE_EXHAUSTED", f"the request has more than {LARGEST_BODY} bytes")
            await _send(send, refusal, (b"connection", b"close"))
            return
        query = scope["query_string"]
        target = (scope["raw_path"] + b"?" + query if query else scope["raw_path"]).decode("latin-1")
        await _send(send, await self._answer(Call(scope["method"], target, headers, body)))

    async def _answer(self, call: Call) -> Answer:
        if call.method != "POST":
            return self._rest.answer(call)
        if self._seconds < QUICK and len(call.body) < SMALL:
            return self._timed(call)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._timed, call)

    def _timed(self, call: Call) -> Answer:
        began = time.perf_counter()
        answer = self._rest.answer(call)
        # One slow answer may be the machine's doing; some in a row are the model's. One quick answer is proof.
        self._seconds = min(time.perf_counter() - began, 2 * self._seconds)
        return answer


class Server(uvicorn.Server):
    """Calls back once it serves, and when it begins to end. SIGTERM and SIGINT end the process at once, or after `drain_seconds` where there are any."""

    def __init__(
        self, application: Application, drain_seconds: float | None, serving: Callable[[], object], ending: Callable[[], object]
    ) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(
            uvicorn.Config(
                application,
                http="httptools",
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
        self._serving = serving
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self._serving()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new requests and finish those that run."""
        self._ending()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, it does not die of the signal after it has drained: the exit code is 0."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit if self._drains else signal.SIG_DFL)
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError where the port is taken."""
    if not host:
        with contextlib.suppress(OSError):  # a machine without IPv6
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
    return socket.create_server((host, port), backlog=BACKLOG)


class _TooLarge(Exception):
    """The body is not read to its end."""


class _Gone(Exception):
    """The client hung up before its end: nobody is there to be answered, and nothing is counted."""


async def _body(receive: Receive, headers: dict[bytes, bytes]) -> bytes:
    """The whole body."""
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > LARGEST_BODY:
        raise _TooLarge
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        pieces.append(message.get("body", b""))
        size, more = size + len(pieces[-1]), message.get("more_body", False)
        if size > LARGEST_BODY:
            raise _TooLarge
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _send(send: Send, answer: Answer, *more: tuple[bytes, bytes]) -> None:
    length = str(len(answer.content)).encode()
    head = [(b"content-type", answer.content_type.encode()), (b"content-length", length), *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": head})
    await send({"type": "http.response.body", "body": answer.content})
