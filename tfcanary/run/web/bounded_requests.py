"""Reads and answers one HTTP request within bounds of size, time and number, as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

OK, ACCEPTED, BAD, UNAUTHORIZED, MISSING, CONFLICT, UNAVAILABLE = 200, 202, 400, 401, 404, 409, 503

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
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP status and the JSON object that is sent with it."""

    status: int
    body: Json


class Stopped(Exception):
    """The request was not read or not answered to its end; the answer holds the reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.answer = HttpAnswer(status, {"error": why})


async def in_turn(turns: asyncio.Semaphore, work: Callable[[], T]) -> T:
    """Do the work in a thread once `turns` lets it. Raises Stopped where its turn does not come within PATIENCE."""
    try:
        await asyncio.wait_for(turns.acquire(), PATIENCE)
    except TimeoutError:
        raise Stopped(UNAVAILABLE, "too many requests are being worked on; send it again") from None
    try:
        return await asyncio.to_thread(work)
    finally:
        turns.release()


async def read_body(request: Request) -> bytes:
    """Read the whole body, in bounded space and time. Raises Stopped with the status that fits."""
    from starlette.requests import ClientDisconnect

    if request.headers.get("content-encoding", "identity") != "identity":
        raise Stopped(415, "content-encoding: bodies are not unpacked here")
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared[:12]) > LARGEST:
        raise Stopped(413, f"the body has more than {LARGEST} bytes")
    pieces = bytearray()
    try:
        async with asyncio.timeout(SLOWEST):
            async for piece in request.stream():
                pieces += piece
                if len(pieces) > LARGEST:
                    raise Stopped(413, f"the body has more than {LARGEST} bytes")
    except TimeoutError:
        raise Stopped(408, f"the body did not arrive within {SLOWEST:.0f} seconds") from None
    except ClientDisconnect:
        raise Stopped(400, "the connection was closed within the body") from None
    return bytes(pieces)


def respond(answer: HttpAnswer) -> Response:
    """Return the HTTP response. It closes its connection, so that no client holds a connection that it does not use."""
    from starlette.responses import Response

    headers = {"content-type": "application/json", "connection": "close"}
    if answer.status == UNAVAILABLE:
        headers["retry-after"] = RETRY
    if answer.status == UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(json.dumps(answer.body), status_code=answer.status, headers=headers)


async def respond_to_error(request: Request, error: Exception) -> Response:
    """Return the response to a path or a method that the server does not have."""
    from starlette.exceptions import HTTPException

    assert isinstance(error, HTTPException)
    return respond(HttpAnswer(error.status_code, {"error": error.detail}))
