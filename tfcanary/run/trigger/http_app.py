"""The ASGI application between HTTP and `responses.Service`, within the bounds of `tfcanary/run/web`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfcanary.run.trigger import trigger_metrics
from tfcanary.run.trigger.events import Message
from tfcanary.run.trigger.responses import Service
from tfcanary.run.web.bounded_requests import OK, THREADS, UNAVAILABLE, HttpAnswer, Stopped, in_turn, read_body, respond, respond_to_error

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


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
            answer = await in_turn(turns, lambda: service.admit(headers.get("authorization", "")))
            if answer is None:
                message = Message(headers, await read_body(request))
                answer = await in_turn(turns, lambda: service.answer(method, message))
        except Stopped as stopped:
            answer = stopped.answer
        return respond(answer)

    async def events(request: Request) -> Response:
        return await post(request, service.events)

    async def alerts(request: Request) -> Response:
        return await post(request, service.alerts)

    async def candidate(request: Request) -> Response:
        name = request.path_params["name"]
        return await post(request, lambda message: service.candidate(name, message))

    async def health(request: Request) -> Response:
        wrong = failure()
        return respond(HttpAnswer(UNAVAILABLE if wrong else OK, {"wrong": wrong} if wrong else {"ok": True}))

    async def metrics(request: Request) -> Response:
        return Response(service.counts.page(), headers={"content-type": trigger_metrics.CONTENT_TYPE, "connection": "close"})

    routes = [
        Route("/events", events, methods=["POST"]),
        Route("/alerts", alerts, methods=["POST"]),
        Route("/models/{name}/candidates", candidate, methods=["POST"]),
        Route("/healthz", health),
        Route("/readyz", health),
        Route("/metrics", metrics),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: respond_to_error})
