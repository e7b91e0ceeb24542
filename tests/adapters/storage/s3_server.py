"""A small S3 of the tests' own: it keeps to the conditions, one request at a time, records what it is asked, and fails on demand."""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.adapters.storage.gcs_server import BUCKET, PAGE, Answer, Asked, Fault, turned
from tests.web import WebAnswers, WebServer

META = "x-amz-meta-"
RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Object:
    content: bytes
    metadata: dict[str, str]
    modified: float
    parts: int = 0

    @property
    def etag(self) -> str:
        digest = hashlib.md5(self.content, usedforsecurity=False).hexdigest()
        return f'"{digest}-{self.parts}"' if self.parts else f'"{digest}"'


@dataclass
class Upload:
    key: str
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


def as_xml(text: str, status: int = 200) -> Answer:
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode(), {"Content-Type": "application/xml"})


def error(status: int, code: str, message: str = "as the test wants it") -> Answer:
    return as_xml(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", status)


CODES = {403: "AccessDenied", 429: "TooManyRequests", 500: "InternalError", 501: "NotImplemented", 503: "SlowDown"}


class S3Server(WebServer):
    """Runs from construction to `close`; `url` is for AWS_ENDPOINT_URL_S3."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.uploads: dict[str, Upload] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.ignores_conditions = False
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        super().__init__(Answers)

    def put(self, key: str, content: bytes, metadata: dict[str, str] | None = None, age: float = 0.0) -> Object:
        """Store something without being asked over the network, so many seconds ago."""
        self.objects[key] = Object(content, metadata or {}, time.time() - age)
        return self.objects[key]

    def sent(self, method: str, where: str = "") -> list[Asked]:
        """The requests of a method whose path or query contains `where`."""
        return [one for one in self.asked if one.method == method and where in f"{one.path}?{one.query}"]

    def strike(self, asked: Asked, target: str) -> int | str | None:
        with self._lock:
            self.asked.append(asked)
            return next((fault.what for fault in self.faults if fault.strikes(asked, target)), None)

    def answer(self, asked: Asked, damage: bool = False) -> Answer:
        bucket, _, key = unquote(asked.path.removeprefix("/")).partition("/")
        if bucket != BUCKET:
            return error(404, "NoSuchBucket", "The specified bucket does not exist")
        with self._lock:
            if not key:
                return self._list(asked.query)
            if asked.method in ("GET", "HEAD"):
                return self._read(asked, key)
            if asked.method == "DELETE":
                return self._delete(asked, key)
            return self._write(asked, key, damage)

    def _list(self, query: dict[str, str]) -> Answer:
        keys = sorted(key for key in self.objects if key.startswith(query.get("prefix", "")))
        start = int(query.get("continuation-token", 0))
        entries = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(one.content)}</Size><ETag>{escape(one.etag)}</ETag>"
            f"<LastModified>{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(one.modified))}</LastModified></Contents>"
            for key, one in ((key, self.objects[key]) for key in keys[start : start + PAGE])
        )
        more = start + PAGE < len(keys)
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
        listing = f"<IsTruncated>{str(more).lower()}</IsTruncated><EncodingType>url</EncodingType>{token}{entries}"
        return as_xml(f"<ListBucketResult>{listing}</ListBucketResult>")

    def _read(self, asked: Asked, key: str) -> Answer:
        found = self.objects.get(key)
        if found is None:
            return error(404, "NoSuchKey")
        if asked.headers.get("if-match", found.etag) != found.etag:
            return error(412, "PreconditionFailed")
        headers = {"ETag": found.etag, "Last-Modified": formatdate(found.modified, usegmt=True)}
        headers |= {META + name: value for name, value in found.metadata.items()}
        if asked.method == "HEAD":
            return Answer(200, b"", {**headers, "Content-Length": str(len(found.content))})
        match = RANGE.match(asked.headers.get("range", ""))
        return Answer(206 if match else 200, found.content[int(match[1]) : int(match[2]) + 1] if match else found.content, headers)

    def _delete(self, asked: Asked, key: str) -> Answer:
        if "uploadId" in asked.query:
            self.uploads.pop(asked.query["uploadId"], None)
            return Answer(204)
        if refusal := self._refusal(asked, key):
            return refusal
        self.objects.pop(key, None)
        return Answer(204)

    def _write(self, asked: Asked, key: str, damage: bool) -> Answer:
        metadata = {name.removeprefix(META): value for name, value in asked.headers.items() if name.startswith(META)}
        if "uploads" in asked.query:
            upload = str(next(self._numbers))
            self.uploads[upload] = Upload(key, metadata)
            return as_xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        if "partNumber" in asked.query:
            content = turned(asked.body) if damage else asked.body
            self.uploads[asked.query["uploadId"]].parts[int(asked.query["partNumber"])] = content
            return Answer(200, b"", {"ETag": Object(content, {}, 0.0).etag})
        if refusal := self._refusal(asked, key):
            return refusal
        if "uploadId" in asked.query:
            return self._complete(asked, key)
        stored = self.put(key, turned(asked.body) if damage else asked.body, metadata)
        return Answer(200, b"", {"ETag": stored.etag})

    def _complete(self, asked: Asked, key: str) -> Answer:
        upload = self.uploads.pop(asked.query["uploadId"], None)
        if upload is None:
            return error(404, "NoSuchUpload")
        numbers = [int(str(one.text)) for one in ET.fromstring(asked.body).iter() if one.tag.endswith("PartNumber")]
        self.objects[key] = Object(b"".join(upload.parts[number] for number in numbers), upload.metadata, time.time(), len(numbers))
        return as_xml(f"<CompleteMultipartUploadResult><ETag>{escape(self.objects[key].etag)}</ETag></CompleteMultipartUploadResult>")

    def _refusal(self, asked: Asked, key: str) -> Answer | None:
        """Why a write's condition does not hold."""
        found, match, none = self.objects.get(key), asked.headers.get("if-match"), asked.headers.get("if-none-match")
        if self.ignores_conditions:
            return None
        if match and found is None:
            return error(404, "NoSuchKey")
        if (match and found and found.etag != match) or (none == "*" and found):
            return error(412, "PreconditionFailed")
        return None


class Answers(WebAnswers):
    server_of: S3Server

    def _serve(self) -> None:
        target = urlsplit(self.path)
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        asked = Asked(self.command, target.path, query, {name.lower(): value for name, value in self.headers.items()}, self.read())
        fault = self.server_of.strike(asked, self.path)
        if fault == "silent":
            self.server_of.closing.wait()
        if fault in ("cut", "silent"):
            self.close_connection = True
        elif isinstance(fault, int):
            self._send(error(fault, CODES.get(fault, "Refused")))
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
        body = b"" if self.command == "HEAD" else answer.body
        self.send(answer.status, body, answer.headers, only)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve
