"""A judge's server over real sockets, whose looks the test itself makes, and a client of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from tests.run.trigger.conftest import BOUNDED, until
from tfcanary.run.alone import judge_server
from tfcanary.run.alone.judge_service import JudgeService

SELDOM = 3600.0
"""Seconds between two looks of the server's own thread: none within a test, but for the first, when nobody has asked."""


@dataclass
class Client:
    """Asks one server; an answer that is not JSON is a defect."""

    port: int

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=BOUNDED)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.ask("GET", path, **headers)

    def post(self, path: str, said: Any, **headers: str) -> tuple[int, Any]:
        return self.ask("POST", path, json.dumps(said).encode(), content_type="application/json", **headers)


@contextmanager
def asking(service: JudgeService, every: float = SELDOM) -> Iterator[Client]:
    """A server of this service, until the block ends."""
    server = judge_server.set_up(service, "127.0.0.1", 0, every)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        until(lambda: server.server.started)
        yield Client(server.port)
    finally:
        server.stop()
        thread.join(BOUNDED)
        assert not thread.is_alive(), "the server did not end"
