"""What the tests' own HTTP servers have in common: real sockets, threads that end, and an answer in one packet."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebServer:
    """Runs from construction to `close`; its answers come from a `WebAnswers`, whose `server_of` is this."""

    def __init__(self, answers: type[WebAnswers], port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.closing = threading.Event()
        """Whoever keeps a request waiting waits for this."""
        self._http = ThreadingHTTPServer(("127.0.0.1", port), type("Bound", (answers,), {"server_of": self}))
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            # The handshake of each connection in its own thread: one that fails keeps no other waiting.
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class WebAnswers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: else each answer waits 40 ms for an acknowledgement
    server_of: Any

    def log_message(self, *_: object) -> None:
        """Say nothing: what was asked tells it all."""

    def read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(self, status: int, body: bytes, headers: Mapping[str, str], only: int | None = None) -> None:
        """The whole answer, or only the first bytes of its body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204 and "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:only])
