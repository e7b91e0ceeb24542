"""What an API server's list holds, told object by object for as long as it is followed."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit

from tests.cluster.api import Api, ApiError, Json

AGAIN = 0.2
"""Seconds until it is listed again after the connection was lost."""

Told = Callable[[str, Json], None]
"""Called with ADDED, MODIFIED or DELETED and the object, always by the mirror's own thread."""


class Mirror:
    """Lists, then watches; lists again when the watch ends, and tells only what has changed since."""

    def __init__(self, api: Api, path: str, told: Told, **query: str) -> None:
        self._api, self._path, self._told, self._query = api, path, told, query
        self._known: dict[str, Json] = {}
        self._stopping = threading.Event()
        self._connection: http.client.HTTPSConnection | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True, name=f"mirror of {path}")
        self._thread.start()

    def stop(self) -> None:
        """Nothing is told after this; not to be called by what is told."""
        self._stopping.set()
        connection = self._connection
        if connection and connection.sock:
            with contextlib.suppress(OSError):
                # The plain socket's shutdown: that of TLS pulls the rug from under the thread that reads.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        self._thread.join()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError, ApiError, http.client.HTTPException):
                self._watch(self._list())
            self._stopping.wait(AGAIN)

    def _list(self) -> str:
        listed = self._api.get(self._path, **self._query)
        objects = {one["metadata"]["uid"]: one for one in listed["items"] or []}
        for uid in self._known.keys() - objects.keys():
            self._tell("DELETED", self._known[uid])
        for uid, one in objects.items():
            before = self._known.get(uid)
            if before is None or before["metadata"]["resourceVersion"] != one["metadata"]["resourceVersion"]:
                self._tell("MODIFIED" if before else "ADDED", one)
        return str(listed["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> None:
        for event in self._events(version):
            if self._stopping.is_set() or event["type"] == "ERROR":  # too old a version: list again
                return
            self._tell(event["type"], event["object"])

    def _events(self, version: str) -> Iterator[Json]:
        query = {**self._query, "watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
        self._connection = connection = http.client.HTTPSConnection(urlsplit(self._api.server).netloc, context=self._api.tls)
        with contextlib.closing(connection):
            connection.request("GET", f"{self._path}?{urlencode(query)}", headers=self._api.headers)
            with connection.getresponse() as answer:
                if answer.status == 200 and not self._stopping.is_set():
                    yield from map(json.loads, answer)

    def _tell(self, kind: str, one: Json) -> None:
        uid = one["metadata"]["uid"]
        if kind == "DELETED":
            self._known.pop(uid, None)
        else:
            self._known[uid] = one
        if not self._stopping.is_set():
            self._told(kind, one)
