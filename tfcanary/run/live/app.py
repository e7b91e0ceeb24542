"""The ASGI application of the live pages: GET only, nothing from elsewhere, and one stream of events for each page that is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import TYPE_CHECKING

from tfcanary.report.as_html import ONLY_FROM_HERE, LiveScript, as_html
from tfcanary.report.of_models import path_of
from tfcanary.report.plots.text import cut
from tfcanary.run.live.board import ALL, Board, Revision

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOOK = 1.0
"""Seconds between two looks whether a page has changed."""
ALIVE = 15.0
"""Seconds after which an event that says nothing keeps a stream open through proxies."""
HEADERS = {
    "content-security-policy": f"{ONLY_FROM_HERE}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def application(board: Board, is_stopping: Callable[[], bool]) -> Starlette:
    """Return the application. `is_stopping` says whether the server is about to end: then the streams do, too."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    script = resources.files("tfcanary.run.live").joinpath("live.js").read_text(encoding="utf-8")

    async def page(request: Request) -> Response:
        model = request.path_params.get("model", ALL)
        found = await asyncio.to_thread(board.page, model)
        if found is None:
            raise HTTPException(404, f"{cut(model, 80)!r}: nothing was ever released under this name here")
        revision, shown = found
        up = "" if model == ALL else "../"
        live = LiveScript(f"{up}live.js", f"{up}events/{path_of(model)}" if model != ALL else "events", _word(revision))
        return Response(as_html(shown, live), media_type="text/html", headers=HEADERS)

    async def live_script(request: Request) -> Response:
        return Response(script, media_type="text/javascript", headers=HEADERS)

    async def events(request: Request) -> Response:
        model = request.path_params.get("model", ALL)
        if await asyncio.to_thread(board.revision, model) is None:
            raise HTTPException(404, f"{cut(model, 80)!r}: nothing was ever released under this name here")
        return StreamingResponse(_changes(board, model, is_stopping), media_type="text/event-stream", headers=HEADERS)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok", headers=HEADERS)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return PlainTextResponse(f"{error.detail}\n", status_code=error.status_code, headers={**HEADERS, **(error.headers or {})})

    routes = [
        Route("/", page),
        Route("/models/{model}", page),
        Route("/events", events),
        Route("/events/{model}", events),
        Route("/live.js", live_script),
        Route("/healthz", health),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: http_error})


async def _changes(board: Board, model: str, is_stopping: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield what the page is at, at once and whenever it has changed; the stream ends with the model, or with the server."""
    shown, silent = None, 0.0
    while not is_stopping():
        revision = await asyncio.to_thread(board.revision, model)
        if revision is None:
            return
        if revision != shown:
            shown, silent = revision, 0.0
            yield f"data: {_word(revision)}\n\n"
        elif silent >= ALIVE:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(LOOK)
        silent += LOOK


def _word(revision: Revision) -> str:
    return f"{revision[0]}-{revision[1]}"
