"""A uvicorn server that bounds its connections and ends in good order."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcanary.core.errors import Refused

if TYPE_CHECKING:
    import uvicorn

HEAD = 10.0
"""Seconds in which the head of a request must arrive, counted from the connection."""
CONNECTIONS = 200
"""Connections at a time: further ones are closed at once. The number is far below what a process may open."""
DRAIN = 10
"""Seconds that requests have to end when the server is stopped."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""The addresses that only this machine reaches."""


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens; raises Refused where nothing can listen there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        raise Refused(f"{address}:{port}: cannot listen there ({error.strerror})") from error


@dataclass(slots=True)
class ListeningServer:
    """A server that has its port but does not serve yet; `run` serves until a signal ends the process, or until `stop`."""

    server: uvicorn.Server
    listening: socket.socket

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return int(self.listening.getsockname()[1])

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`."""
        with self.listening:
            self.server.run(sockets=[self.listening])

    def stop(self) -> None:
        """Ask the server to end; it may be called by another thread, and does not wait."""
        self.server.should_exit = True


def bounded_server(app: Any, connections: int = CONNECTIONS) -> uvicorn.Server:
    """Return a server of the ASGI application with at most so many `connections` at a time; `run` with the sockets serves until SIGTERM, SIGINT or `should_exit`."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class BoundedProtocol(H11Protocol):
        """Closes a connection whose request's head does not arrive in time: uvicorn itself would wait for ever."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.late = self.loop.call_later(HEAD, self._hang_up)
            if len(self.connections) > connections:
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
