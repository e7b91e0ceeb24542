"""A small Cloud Storage of the tests' own: it keeps to the preconditions, records what it is asked, and fails on demand.

The emulator ignores most preconditions and never fails; what is sent, and what happens when the network or the
service does not play along, can be seen here only.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

from tests.web import WebAnswers, WebServer

BUCKET = "tested"
PAGE = 3
CONTENT = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """What goes wrong, at the requests of a method whose target or body contains `where`, the next `times` times.

    A number: that status. `cut`: the connection ends without an answer. `lost`: the request is carried out, its answer
    is lost. `half`: the connection ends in the middle of the body. `short`: a body shorter than it should be, sound
    otherwise. `damaged`: content with one bit turned. `silent`: no answer until the server closes.
    """

    method: str
    where: str
    what: int | str
    times: int = 10**6

    def strikes(self, asked: Asked, target: str) -> bool:
        found = self.where in target or self.where.encode() in asked.body
        if asked.method != self.method or not found or self.times == 0:
            return False
        self.times -= 1
        return True


@dataclass
class Stored:
    content: bytes
    generation: int
    metadata: dict[str, str]
    encoding: str = ""

    def resource(self, name: str) -> dict[str, Any]:
        checksum = base64.b64encode(google_crc32c.value(self.content).to_bytes(4, "big")).decode()
        numbers = {"size": str(len(self.content)), "generation": str(self.generation), "crc32c": checksum}
        return {"name": name, "bucket": BUCKET, "metadata": self.metadata, **numbers}


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def error(status: int, message: str) -> Answer:
    return as_json({"error": {"code": status, "message": message}}, status)


class GcsServer(WebServer):
    """Runs from construction to `close`; `url` is for STORAGE_EMULATOR_HOST."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._generation = 1_700_000_000_000_000
        self._sessions: dict[str, tuple[str, dict[str, Any], str | None, bytearray]] = {}
        super().__init__(Answers)

    def put(self, name: str, content: bytes, metadata: dict[str, str] | None = None, encoding: str = "") -> Stored:
        """Store something without being asked over the network."""
        self._generation += 1
        self.objects[name] = Stored(content, self._generation, metadata or {}, encoding)
        return self.objects[name]

    def sent(self, method: str, where: str = "") -> list[Asked]:
        """The requests of a method whose path or query contains `where`."""
        return [a for a in self.asked if a.method == method and where in f"{a.path}?{a.query}"]

    def strike(self, asked: Asked, target: str) -> int | str | None:
        with self._lock:
            self.asked.append(asked)
            return next((fault.what for fault in self.faults if fault.strikes(asked, target)), None)

    def answer(self, asked: Asked, damage: bool = False) -> Answer:
        with self._lock:
            if asked.path == f"/upload/storage/v1/b/{BUCKET}/o":
                return self._upload(asked, damage)
            if asked.path == f"/storage/v1/b/{BUCKET}/o":
                return self._list(asked.query)
            if match := re.fullmatch(rf"(?:/download)?/storage/v1/b/{BUCKET}/o/(.+)", asked.path):
                return self._object(asked, unquote(match[1]))
            return error(404, "The specified bucket does not exist.")

    def _list(self, query: dict[str, str]) -> Answer:
        names = sorted(name for name in self.objects if name.startswith(query.get("prefix", "")))
        start = int(query.get("pageToken", 0))
        page: dict[str, Any] = {"items": [self.objects[name].resource(name) for name in names[start : start + PAGE]]}
        if start + PAGE < len(names):
            page["nextPageToken"] = str(start + PAGE)
        return as_json(page)

    def _object(self, asked: Asked, name: str) -> Answer:
        stored = self.objects.get(name)
        if stored is None or asked.query.get("generation") not in (None, str(stored.generation)):
            return error(404, f"No such object: {BUCKET}/{name}")
        if asked.method == "DELETE":
            if not self._as_expected(name, asked.query.get("ifGenerationMatch")):
                return error(412, "At least one of the pre-conditions you specified did not hold.")
            del self.objects[name]
            return Answer(204)
        if asked.query.get("alt") != "media":
            return as_json(stored.resource(name))
        match = CONTENT.match(asked.headers.get("range", ""))
        part = stored.content[int(match[1]) : int(match[2]) + 1] if match else stored.content
        headers = {"Content-Encoding": stored.encoding} if stored.encoding else {}
        return Answer(206 if match else 200, part, headers)

    def _upload(self, asked: Asked, damage: bool) -> Answer:
        if "upload_id" in asked.query:
            return self._continue(asked, damage)
        expected = asked.query.get("ifGenerationMatch")
        if asked.query["uploadType"] == "multipart":
            described, content = multipart(asked.headers["content-type"], asked.body)
            return self._store(described, content, expected, damage)
        described = json.loads(asked.body)
        if not self._as_expected(described["name"], expected):
            return error(412, "At least one of the pre-conditions you specified did not hold.")
        session = str(len(self._sessions))
        self._sessions[session] = (described["name"], described, expected, bytearray())
        return Answer(200, b"", {"Location": f"{self.url}{asked.path}?uploadType=resumable&upload_id={session}"})

    def _continue(self, asked: Asked, damage: bool) -> Answer:
        _, described, expected, content = self._sessions[asked.query["upload_id"]]
        first, _, total = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", asked.headers["content-range"]).groups()  # type: ignore[union-attr]
        content[int(first) :] = asked.body
        if len(content) < int(total):
            return Answer(308, b"", {"Range": f"bytes=0-{len(content) - 1}"})
        return self._store(described, bytes(content), expected, damage)

    def _store(self, described: dict[str, Any], content: bytes, expected: str | None, damage: bool) -> Answer:
        name = described["name"]
        if not self._as_expected(name, expected):
            return error(412, "At least one of the pre-conditions you specified did not hold.")
        stored = self.put(name, turned(content) if damage else content, described.get("metadata"))
        return as_json(stored.resource(name))

    def _as_expected(self, name: str, expected: str | None) -> bool:
        found = self.objects[name].generation if name in self.objects else 0
        return expected is None or int(expected) == found


def multipart(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The description and the content of an upload in one request."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    described, content = body.split(b"--" + boundary)[1:3]
    return json.loads(described.partition(b"\r\n\r\n")[2]), content.partition(b"\r\n\r\n")[2][:-2]


def turned(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


class Answers(WebAnswers):
    server_of: GcsServer

    def _serve(self) -> None:
        target = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        asked = Asked(self.command, target.path, query, {k.lower(): v for k, v in self.headers.items()}, self.read())
        fault = self.server_of.strike(asked, self.path)
        if fault == "silent":
            self.server_of.closing.wait()
        if fault in ("cut", "silent"):
            self.close_connection = True
        elif isinstance(fault, int):
            self._send(error(fault, "as the test wants it"))
        else:
            self._answer(self.server_of.answer(asked, damage=fault == "damaged"), fault)

    def _answer(self, answer: Answer, fault: int | str | None) -> None:
        if fault == "lost":
            self.close_connection = True
        elif fault == "short":
            self._send(Answer(answer.status, answer.body[:-1], answer.headers))
        elif fault == "half":
            self._send(answer, len(answer.body) // 2)
            self.close_connection = True
        elif fault == "damaged" and self.command == "GET":
            self._send(Answer(answer.status, turned(answer.body), answer.headers))
        else:
            self._send(answer)

    def _send(self, answer: Answer, only: int | None = None) -> None:
        self.send(answer.status, answer.body, answer.headers, only)

    do_GET = do_POST = do_PUT = do_DELETE = _serve
