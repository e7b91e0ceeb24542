"""Users: a few connections that stay open and ask, without a pause longer than a few milliseconds, until the block ends."""

from __future__ import annotations

import http.client
import json
import threading
import time
from types import TracebackType

LIMIT = 3000
"""Requests of one connection at most."""


class Counted(http.client.HTTPConnection):
    """Counts how often it had to connect."""

    connects = 0

    def connect(self) -> None:
        self.connects += 1
        super().connect()


class Load:
    """About 400 requests a second over 8 connections; `answers` are the versions that answered, `failed` everything else."""

    def __init__(self, address: str, connections: int = 8, pause: float = 0.018, path: str = "/v1/models/m:predict") -> None:
        self._at, self._pause, self._path = address.removeprefix("http://"), pause, path
        self.answers: list[int] = []
        self.failed: list[str] = []
        self.reconnects = 0
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._user) for _ in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Until so many more requests have been answered or have failed."""
        enough = len(self.answers) + len(self.failed) + more
        while len(self.answers) + len(self.failed) < enough:
            time.sleep(0.005)

    def since(self, mark: int) -> list[int]:
        return self.answers[mark:]

    def _user(self) -> None:
        connection = Counted(self._at, timeout=20)
        for _ in range(LIMIT):
            if self._enough.is_set():
                break
            try:
                status, body = ask(connection, self._path)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
                continue
            if status == 200:
                self.answers.append(body["predictions"][0])
            else:
                self.failed.append(f"{status} {body}")
            time.sleep(self._pause)
        self.reconnects += max(connection.connects - 1, 0)
        connection.close()


def ask(
    connection: http.client.HTTPConnection, path: str = "/v1/models/m:predict", headers: dict[str, str] | None = None
) -> tuple[int, dict]:
    """One request: status and body."""
    connection.request("POST", path, body=b'{"instances": [1]}', headers=headers or {})
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text.startswith(b"{") else {"text": text.decode(errors="replace")}


def ask_once(address: str, path: str = "/v1/models/m:predict", headers: dict[str, str] | None = None) -> tuple[int, dict]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    try:
        return ask(connection, path, headers)
    finally:
        connection.close()
