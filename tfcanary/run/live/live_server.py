"""`tfcanary dashboard`: the server of the live pages, from its start to an orderly end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcanary import adapters
from tfcanary.run.live.app import application
from tfcanary.run.live.board import Board
from tfcanary.run.web.bounded_server import ListeningServer, bounded_server, listen

if TYPE_CHECKING:
    import uvicorn

VIEWERS = 500
"""Connections at a time: each page that is open holds one, and a browser asks over a second one."""


def set_up(platform_uri: str, address: str, port: int) -> ListeningServer:
    """Return a server that listens; raises Refused where the platform is none or has no answer to a first look, or the port is taken."""
    adapters.models(platform_uri)
    stopping: list[uvicorn.Server] = []
    app = application(Board(platform_uri), lambda: bool(stopping and stopping[0].should_exit))
    server = bounded_server(app, VIEWERS)
    stopping.append(server)
    return ListeningServer(server, listen(address, port))
