"""`tfcanary judge --serve`: the HTTP server in front of `judge_service`, and the thread that looks."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfcanary.core.errors import Refused
from tfcanary.run.alone.judge_service import JudgeService
from tfcanary.run.trigger.auth import Authenticator, NoAuthentication, TokenFile
from tfcanary.run.web.bounded_requests import OK, THREADS, UNAVAILABLE, HttpAnswer, Stopped, in_turn, read_body, respond, respond_to_error
from tfcanary.run.web.bounded_server import LOOPBACK, ListeningServer, bounded_server, listen

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger("tfcanary.judge")


class LookingThread(threading.Thread):
    """Calls `tick` every so many seconds, until it is stopped."""

    def __init__(self, service: JudgeService, every: float) -> None:
        super().__init__(name="the judge's looks", daemon=True)
        self._service, self._every = service, every
        self._over = threading.Event()

    def run(self) -> None:
        """Look until `stop` is called."""
        while not self._over.is_set():
            self._service.tick()
            self._over.wait(self._every)

    def stop(self) -> None:
        """Ask the thread to end after its present look; does not wait."""
        self._over.set()


@dataclass(slots=True)
class JudgeServer(ListeningServer):
    """The server with the thread that looks while it serves."""

    looking: LookingThread

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`. The state of the watch is in its storage already."""
        self.looking.start()
        try:
            ListeningServer.run(self)
        finally:
            self.looking.stop()


def authenticator(address: str, token_file: str) -> Authenticator:
    """Return what checks callers. Raises Refused where the token cannot be read, or where other machines could ask without one."""
    if token_file:
        file = TokenFile(Path(token_file))
        file.expected()
        return file
    if address not in LOOPBACK:
        raise Refused(f"--serve {address}: other machines reach this address; name a --token-file, or listen on 127.0.0.1")
    return NoAuthentication()


def set_up(service: JudgeService, address: str, port: int, every: float) -> JudgeServer:
    """Return a server that listens; a thread looks every so many seconds. Raises Refused where the port is taken."""
    looking = LookingThread(service, every)
    return JudgeServer(bounded_server(application(service, looking)), listen(address, port), looking)


def application(service: JudgeService, looking: LookingThread) -> Starlette:
    """Return the ASGI application; it is healthy while the thread that looks is alive."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    turns = asyncio.Semaphore(THREADS)

    async def argo(request: Request) -> Response:
        authorization, query = request.headers.get("authorization", ""), dict(request.query_params)
        try:
            answer = await in_turn(turns, lambda: service.argo(authorization, query))
        except Stopped as stopped:
            answer = stopped.answer
        return respond(answer)

    async def flagger(request: Request) -> Response:
        hook, authorization = request.path_params["hook"], request.headers.get("authorization", "")
        try:
            body = await read_body(request)
            answer = await in_turn(turns, lambda: service.flagger(hook, authorization, body))
        except Stopped as stopped:
            answer = stopped.answer
        return respond(answer)

    async def health(request: Request) -> Response:
        alive = looking.is_alive()
        return respond(HttpAnswer(OK if alive else UNAVAILABLE, {"ok": True} if alive else {"wrong": "nobody looks any more"}))

    routes = [
        Route("/argo", argo),
        Route("/flagger/{hook}", flagger, methods=["POST"]),
        Route("/healthz", health),
        Route("/readyz", health),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: respond_to_error})
