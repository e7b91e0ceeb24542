"""`tfcanary trigger serve`: the server with its dispatchers, from its start to an orderly end."""

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
from tfcanary.run.trigger.dispatch import Dispatcher, DispatcherThread
from tfcanary.run.trigger.http_app import application
from tfcanary.run.trigger.responses import Service
from tfcanary.run.trigger.settings import Settings, check_address
from tfcanary.run.trigger.trigger_metrics import Counts
from tfcanary.run.trigger.versions import Completeness

if TYPE_CHECKING:
    import uvicorn

HEAD = 10.0
"""Seconds in which the head of a request must arrive, counted from the connection."""
CONNECTIONS = 200
"""Connections at a time: further ones are closed at once. The number is far below what a process may open."""
DRAIN = 10
"""Seconds that requests have to end when the server is stopped."""
LAST = 30.0
"""Seconds that submissions have to end when the server is stopped: a claim without a submission costs a candidate."""

log = logging.getLogger("tfcanary.run.trigger")


@dataclass(slots=True)
class Trigger:
    """A server that has its port but does not serve yet; `run` serves until a signal ends the process, or until `stop`."""

    server: uvicorn.Server
    listening: socket.socket
    dispatchers: tuple[DispatcherThread, ...]

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return int(self.listening.getsockname()[1])

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`; returns when all work that had begun has ended or is out of time."""
        for one in self.dispatchers:
            one.start()
        try:
            with self.listening:
                self.server.run(sockets=[self.listening])
        finally:
            finish(self.dispatchers)

    def stop(self) -> None:
        """Ask the server to end; it may be called by another thread, and does not wait."""
        self.server.should_exit = True


def finish(dispatchers: tuple[DispatcherThread, ...]) -> None:
    """Stop the dispatchers and wait for their end, at most LAST seconds in all."""
    for one in dispatchers:
        one.stop()
    deadline = time.monotonic() + LAST
    for one in dispatchers:
        one.join(max(0.0, deadline - time.monotonic()))
        if one.is_alive():
            log.warning("%s did not end within %.0f s; its claim expires by itself", one.name, LAST)


def set_up(settings: Settings, address: str, port: int) -> Trigger:
    """Return a server that listens; raises Refused where everybody could start releases, or where the port is taken."""
    check_address(settings, address)
    counts = Counts()
    dispatchers = {name: _dispatcher(settings, name, counts) for name in settings.models}

    def failure() -> str:
        return next((f"the {one.name} has ended" for one in dispatchers.values() if not one.is_alive()), "")

    service = Service(settings, auth.authenticator(settings.auth), counts, wake=lambda model: dispatchers[model].wake())
    return Trigger(_server(application(service, failure)), _listen(address, port), tuple(dispatchers.values()))


def _dispatcher(settings: Settings, name: str, counts: Counts) -> DispatcherThread:
    source = settings.models[name]
    platform = adapters.open_platform(settings.platform, name, source.resolved_plan)
    is_complete = Completeness(source.complete, source.settle).is_complete_uri
    dispatcher = Dispatcher(platform, source.resolved_plan, settings.target, counts, is_complete)
    return DispatcherThread(dispatcher, settings.every.total_seconds())


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        raise Refused(f"{address}:{port}: cannot listen there ({error.strerror})") from error


def _server(app: Any) -> uvicorn.Server:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedProtocol(H11Protocol):
        """Closes a connection whose request's head does not arrive in time: uvicorn itself would wait for ever."""

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
            """Handle the signals as uvicorn does, but do not raise them again after the orderly end."""
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, self.handle_exit)
            yield

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
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
