"""`tfcanary dashboard`: the server of the live pages, from its start to an orderly end."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcanary import adapters
from tfcanary.run.live.app import application
from tfcanary.run.live.board import Board
from tfcanary.run.web.bounded_server import bounded_server, listen, port_of

if TYPE_CHECKING:
    import uvicorn

VIEWERS = 500
"""Connections at a time: each page that is open holds one, and a browser asks over a second one."""


@dataclass(slots=True)
class LiveServer:
    """A server that has its port but does not serve yet; `run` serves until a signal ends the process, or until `stop`."""

    server: uvicorn.Server
    listening: socket.socket

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return port_of(self.listening)

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`."""
        with self.listening:
            self.server.run(sockets=[self.listening])

    def stop(self) -> None:
        """Ask the server to end; it may be called by another thread, and does not wait."""
        self.server.should_exit = True


def set_up(platform_uri: str, address: str, port: int) -> LiveServer:
    """Return a server that listens; raises Refused where the platform is none or has no answer to a first look, or the port is taken."""
    adapters.models(platform_uri)
    stopping: list[uvicorn.Server] = []
    app = application(Board(platform_uri), lambda: bool(stopping and stopping[0].should_exit))
    server = bounded_server(app, VIEWERS)
    stopping.append(server)
    return LiveServer(server, listen(address, port))
