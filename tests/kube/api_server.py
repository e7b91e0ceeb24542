"""A small HTTP server in the place of an API server: it answers as the test wants, also with nothing at all."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Told:
    """What to answer: `cut` closes the connection, after the request was read; `silent` never answers."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"kind": "ConfigMap", "metadata": {"name": "a"}})
    headers: dict[str, str] = field(default_factory=dict)
    how: str = ""
    after: float = 0.0
    """Seconds."""


def status(code: int, message: str = "as the test wants it", reason: str = "", **details: Any) -> Told:
    said = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "details": details, "code": code}
    return Told(code, said)


class ApiServer:
    """Answers what `told` says, one for each request, and then with an object."""

    def __init__(self, port: int = 0) -> None:
        self.told: list[Told] = []
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), type("Bound", (Handler,), {"api": self}))
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def otherwise(self, asked: Asked) -> Told:
        """What is answered when nothing is `told`."""
        return Told()

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: else each answer waits 40 ms for an acknowledgement
    api: ApiServer

    def log_message(self, *_: object) -> None:
        """Say nothing: `asked` tells it all."""

    def answer(self) -> None:
        target = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        asked = Asked(self.command, target.path, query, dict(self.headers), json.loads(text) if text else None)
        self.api.asked.append(asked)
        told = self.api.told.pop(0) if self.api.told else self.api.otherwise(asked)
        self.api.closing.wait(30 if told.how == "silent" else told.after)
        if told.how or self.api.closing.is_set():
            self.close_connection = True
            return
        body = told.body if isinstance(told.body, str) else json.dumps(told.body)
        self.send_response(told.status)
        for name, value in {"Content-Length": str(len(body.encode())), **told.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PATCH = do_DELETE = answer


def kubeconfig(path: Path, server: str, authority: Path | None = None, **user: str) -> Path:
    """A file that names one cluster. JSON is YAML."""
    cluster = {"server": server} | ({"certificate-authority": str(authority)} if authority else {})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(json.dumps(document))
    return path
