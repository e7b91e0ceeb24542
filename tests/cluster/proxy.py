"""A proxy in front of the API server: it counts what the code under test asks, and makes trouble when the test wants it.

code under test ── TLS, its own token ──▶ Proxy ── the same token ──▶ API server
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

from tests.cluster.authority import Authority, Identity
from tests.cluster.controlplane import HERE, ControlPlane
from tests.cluster.trouble import Asked, Kill, Trouble

__all__ = ["Asked", "Proxy"]

WRITES = ("POST", "PUT", "PATCH", "DELETE")
HOP = ("connection", "keep-alive", "transfer-encoding", "host", "upgrade", "te")
"""Headers of one connection, not of the request."""


class Proxy:
    """Takes requests from construction to `close`. What goes wrong is in `trouble`."""

    def __init__(self, control_plane: ControlPlane, identity: Identity | None = None) -> None:
        self.upstream = urlsplit(control_plane.server).netloc
        self.tls = ssl.create_default_context(cafile=str(control_plane.authority.file))
        identity = identity or serving(control_plane.authority)
        self._served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._served.load_cert_chain(identity.certificate, identity.key)
        self.trouble = Trouble()
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._writes = 0
        self._open: WeakSet[socket.socket] = WeakSet()
        self._port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"https://{HERE}:{self._port}"

    @property
    def writes(self) -> list[Asked]:
        return [one for one in self.asked if one.write]

    def clear(self) -> None:
        """Forget what was asked, count from 1 again, and make no trouble."""
        with self._lock:
            self.asked, self._writes = [], 0
        self.trouble.calm()

    def up(self) -> None:
        """Listen, always on the same port."""
        handler = type("Bound", (Handler,), {"proxy": self})
        self._http = Listener((HERE, self._port), handler, self._served, self._open)
        self._port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True, name="proxy")
        self._thread.start()

    def down(self) -> None:
        """Refuse connections, and cut those that are open."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._cut()

    close = down

    def hang_up(self, at_once: bool = True) -> None:
        """Accept connections and close them at once, also those that are open; or no longer."""
        self._http.hangs_up = at_once
        if at_once:
            self._cut()

    def opened(self, connection: socket.socket) -> None:
        """To the API server; cut with all others."""
        self._open.add(connection)

    def _cut(self) -> None:
        for one in tuple(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # not that of TLS: another thread may be reading

    def note(self, method: str, target: str, agent: str, body: bytes) -> Asked:
        """Number a request."""
        split = urlsplit(target)
        with self._lock:
            self._writes += method in WRITES
            write = self._writes if method in WRITES else 0
            asked = Asked(len(self.asked) + 1, write, method, split.path, split.query, agent, body, time.time())
            self.asked.append(asked)
        return asked


def serving(authority: Authority, **expires: Any) -> Identity:
    """A certificate for the proxy's address; `expires_in` a negative time: it has expired."""
    return authority.issue(f"proxy{'-expired' if expires else ''}", "proxy", names=[HERE], **expires)


class Listener(ThreadingHTTPServer):
    """Shakes hands in the connection's own thread: a client that does not finish keeps nobody waiting."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    hangs_up = False

    def __init__(self, address: tuple[str, int], handler: Any, served: ssl.SSLContext, open_: WeakSet[socket.socket]) -> None:
        super().__init__(address, handler)
        self._served, self._open = served, open_

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.hangs_up:
            return
        request.settimeout(10)
        with self._served.wrap_socket(request, server_side=True) as connection:
            connection.settimeout(None)
            self._open.add(connection)
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break: that is what this is for."""


class Handler(BaseHTTPRequestHandler):
    """One connection, with one to the API server behind it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    proxy: Proxy

    def setup(self) -> None:
        super().setup()
        self._behind = http.client.HTTPSConnection(self.proxy.upstream, context=self.proxy.tls)

    def finish(self) -> None:
        self._behind.close()
        super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing: `asked` tells it all."""

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = self.proxy.note(self.command, self.path, self.headers.get("User-Agent", ""), body)
        trouble = self.proxy.trouble
        holding = trouble.delay(asked)
        kill = trouble.kill(asked)
        if kill and kill.before:
            return self._end(kill)
        if refusal := trouble.refusal(asked):
            return self._answer(refusal.status, refusal.headers, refusal.body)
        answer = self._forward(body)
        if holding:
            holding.answers.append(answer.status)
        if kill:
            return self._end(kill)
        self._hand_back(answer)

    def _end(self, kill: Kill) -> None:
        self.close_connection = True
        kill.act()

    def _forward(self, body: bytes) -> http.client.HTTPResponse:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        fresh = self._behind.sock is None
        self._behind.request(self.command, self.path, body or None, headers)
        if fresh:
            self.proxy.opened(self._behind.sock)
        return self._behind.getresponse()

    def _hand_back(self, answer: http.client.HTTPResponse) -> None:
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in (*HOP, "content-length")}
        if answer.chunked:
            self._stream(answer, headers)
        else:
            self._answer(answer.status, headers, answer.read())

    def _stream(self, answer: http.client.HTTPResponse, headers: Mapping[str, str]) -> None:
        """Each piece as it comes: it may be a watch."""
        self._head(answer.status, {**headers, "Transfer-Encoding": "chunked"})
        while piece := answer.read1(1 << 16):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _do
