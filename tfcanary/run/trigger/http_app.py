"""The ASGI application between HTTP and `responses.Service`: it bounds how much a stranger may send, and how slowly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tfcanary.run.trigger import trigger_metrics
from tfcanary.run.trigger.events import Message
from tfcanary.run.trigger.responses import OK, UNAVAILABLE, HttpAnswer, Service

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST = 256 << 10
"""Bytes of a body: a hundred events of Cloud Storage take 150 KiB."""
SLOWEST = 10.0
"""Seconds in which a body must arrive: it usually takes milliseconds."""
THREADS = 4
"""Requests that are answered at a time: each may wait for a record."""
PATIENCE = 20.0
"""Seconds that a request waits for its turn; the sender of a late one sends it again."""
RETRY = "10"
"""Seconds after which a sender may try again, as the header `Retry-After` says."""

T = TypeVar("T")


class _Stopped(Exception):
    """The request was not read or not answered to its end; the answer holds the reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.answer = HttpAnswer(status, {"error": why})


def application(service: Service, failure: Callable[[], str]) -> Starlette:
    """Return the application. `failure` returns what is wrong with the process, and an empty text where nothing is."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import Response
    from starlette.routing import Route

    turns = asyncio.Semaphore(THREADS)

    async def post(request: Request, method: Callable[[Message], HttpAnswer]) -> Response:
        try:
            headers = dict(request.headers)
            answer = await _in_turn(turns, lambda: service.admit(headers.get("authorization", "")))
            if answer is None:
                message = Message(headers, await _body(request))
                answer = await _in_turn(turns, lambda: service.answer(method, message))
        except _Stopped as stopped:
            answer = stopped.answer
        return _response(answer)

    async def events(request: Request) -> Response:
        return await post(request, service.events)

    async def alerts(request: Request) -> Response:
        return await post(request, service.alerts)

    async def candidate(request: Request) -> Response:
        name = request.path_params["name"]
        return await post(request, lambda message: service.candidate(name, message))

    async def health(request: Request) -> Response:
        wrong = failure()
        return _response(HttpAnswer(UNAVAILABLE if wrong else OK, {"wrong": wrong} if wrong else {"ok": True}))

    async def metrics(request: Request) -> Response:
        return Response(service.counts.page(), headers={"content-type": trigger_metrics.CONTENT_TYPE, "connection": "close"})

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _response(HttpAnswer(error.status_code, {"error": error.detail}))

    routes = [
        Route("/events", events, methods=["POST"]),
        Route("/alerts", alerts, methods=["POST"]),
        Route("/models/{name}/candidates", candidate, methods=["POST"]),
        Route("/healthz", health),
        Route("/readyz", health),
        Route("/metrics", metrics),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: http_error})


async def _in_turn(turns: asyncio.Semaphore, work: Callable[[], T]) -> T:
    """Do the work in a thread, at most THREADS at a time. Raises _Stopped where its turn does not come within PATIENCE."""
    try:
        await asyncio.wait_for(turns.acquire(), PATIENCE)
    except TimeoutError:
        raise _Stopped(UNAVAILABLE, "too many requests are being worked on; send it again") from None
    try:
        return await asyncio.to_thread(work)
    finally:
        turns.release()


async def _body(request: Request) -> bytes:
    """Read the whole body, in bounded space and time. Raises _Stopped with the status that fits."""
    from starlette.requests import ClientDisconnect

    if request.headers.get("content-encoding", "identity") != "identity":
        raise _Stopped(415, "content-encoding: bodies are not unpacked here")
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared[:12]) > LARGEST:
        raise _Stopped(413, f"the body has more than {LARGEST} bytes")
    pieces = bytearray()
    try:
        async with asyncio.timeout(SLOWEST):
            async for piece in request.stream():
                pieces += piece
                if len(pieces) > LARGEST:
                    raise _Stopped(413, f"the body has more than {LARGEST} bytes")
    except TimeoutError:
        raise _Stopped(408, f"the body did not arrive within {SLOWEST:.0f} seconds") from None
    except ClientDisconnect:
        raise _Stopped(400, "the connection was closed within the body") from None
    return bytes(pieces)


def _response(answer: HttpAnswer) -> Response:
    """The HTTP response. It closes its connection, so that no client holds a connection that it does not use."""
    from starlette.responses import Response

    headers = {"content-type": "application/json", "connection": "close"}
    if answer.status == UNAVAILABLE:
        headers["retry-after"] = RETRY
    if answer.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(json.dumps(answer.body), status_code=answer.status, headers=headers)
