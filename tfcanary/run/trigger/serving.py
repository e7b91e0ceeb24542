"""`tfcanary trigger serve`: the server and its dispatchers, from the first byte to an orderly end."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcanary import adapters
from tfcanary.core.errors import Refused
from tfcanary.run.trigger import auth
from tfcanary.run.trigger.dispatch import Dispatcher, Rounds
from tfcanary.run.trigger.http_app import application
from tfcanary.run.trigger.responses import Service
from tfcanary.run.trigger.settings import Settings, check_address
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness

if TYPE_CHECKING:
    import uvicorn

HEAD = 10.0
"""Seconds from the connection to the end of the request's head."""
CONNECTIONS = 200
"""Connections at a time: further ones are closed at once. Far below what a process may open."""
DRAIN = 10
"""Seconds for requests that run when the end begins."""
LAST = 30.0
"""Seconds for submissions that run when the end begins: a claim without a submission costs a candidate."""

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(slots=True)
class Trigger:
    """A server that is set up and has its port; `run` serves until the process is told to end, or `stop`."""

    server: uvicorn.Server
    listening: socket.socket
    rounds: tuple[Rounds, ...]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listening.getsockname()[1])

    def run(self) -> None:
        """Serve; returns after SIGTERM, SIGINT or `stop`, when everything that had begun is done or out of time."""
        for one in self.rounds:
            one.start()
        try:
            with self.listening:
                self.server.run(sockets=[self.listening])
        finally:
            finish(self.rounds)

    def stop(self) -> None:
        """Begin to end; may be called by another thread."""
        self.server.should_exit = True


def finish(rounds: tuple[Rounds, ...]) -> None:
    """End the dispatchers after their present look, in bounded time."""
    for one in rounds:
        one.stop()
    deadline = time.monotonic() + LAST
    for one in rounds:
        one.join(max(0.0, deadline - time.monotonic()))
        if one.is_alive():
            log.warning("%s did not end within %.0f s; what it has claimed is free again by itself", one.name, LAST)


def set_up(settings: Settings, address: str, port: int) -> Trigger:
    """A server that listens; raises Refused where anybody could start releases, or the port is taken."""
    check_address(settings, address)
    counts = Counts()
    rounds = {name: _rounds(settings, name, counts) for name in settings.models}

    def alive() -> str:
        return next((f"the {one.name} has ended" for one in rounds.values() if not one.is_alive()), "")

    service = Service(settings, auth.gate(settings.auth), counts, wake=lambda model: rounds[model].wake())
    return Trigger(_server(application(service, alive)), _listen(address, port), tuple(rounds.values()))


def _rounds(settings: Settings, name: str, counts: Counts) -> Rounds:
    source = settings.models[name]
    platform = adapters.open_platform(settings.platform, name, source.decided)
    complete = Completeness(source.complete, source.settle)
    return Rounds(Dispatcher(platform, source.decided, settings.target, counts, complete.of_uri), settings.every.total_seconds())


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        raise Refused(f"{address}:{port}: cannot listen there ({error.strerror})") from error


def _server(app: Any) -> uvicorn.Server:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """Hangs up on whoever sends no request: uvicorn itself would wait for ever."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.late = self.loop.call_later(HEAD, self._hang_up)
            if len(self.connections) > CONNECTIONS:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self.late.cancel()
            super().connection_lost(exc)

        def _hang_up(self) -> None:
            if self.cycle is None:
                self.transport.abort()

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Unlike uvicorn's own, the process does not die of the signal after it has ended in order."""
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, self.handle_exit)
            yield

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return Server(
        uvicorn.Config(
            app,
            http=Impatient,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=CONNECTIONS,
            timeout_graceful_shutdown=DRAIN,
        )
    )
