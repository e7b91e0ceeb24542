"""A real HTTP server on this machine that takes notices, or does with them whatever the test wants."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """`silent`: none; `drips`: a byte now and then, without an end; `huge`: a body that is never written to its end."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    how: str = ""


@dataclass
class Taken:
    path: str
    content: str
    body: bytes


class Receiver:
    """Answers what `answers` says, one for each request, and then with 200."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.taken: list[Taken] = []
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Conversation,), {"receiver": self}))
        self._http.daemon_threads = False
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary"

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Conversation(BaseHTTPRequestHandler):
    receiver: Receiver

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.receiver.taken.append(Taken(self.path, self.headers.get("Content-Type", ""), body))
        answer = self.receiver.answers.pop(0) if self.receiver.answers else Answer()
        with suppress(BrokenPipeError, ConnectionResetError):
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        if answer.how == "silent":
            self.receiver.closing.wait(30)
            return
        if answer.how == "drips":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
            while not self.receiver.closing.wait(0.02):
                self.wfile.write(b"x")
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        while answer.how == "huge" and not self.receiver.closing.is_set():
            self.wfile.write(b"x" * 65536)
