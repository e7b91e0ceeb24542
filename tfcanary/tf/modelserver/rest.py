"""The REST surface: predict, status, metadata, and the metrics page.

Every request below /v1/ is counted, also GETs and wrong ones; only answered ones have a latency (http_server.cc).
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format

from tfcanary.tf.modelserver import predict_json
from tfcanary.tf.modelserver.request_log import Entry, RequestLog
from tfcanary.tf.modelserver.service import Service
from tfcanary.tf.modelserver.status import HTTP, RequestError, error_body, invalid

LARGEST_BODY = 64 << 20
"""Bytes of one request, also after inflating it."""

_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII)
_MODEL = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?", re.IGNORECASE | re.ASCII)
_COUNTED = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_JSON = "application/json"
_PRINTED = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as it came."""

    method: str
    target: str
    """Path and query, still encoded."""
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    content: bytes
    content_type: str = _JSON


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names."""

    model: str = ""
    version: int | None = None
    label: str = ""
    verb: str = ""
    """As it was typed; empty for a GET."""
    metadata: bool = False


class Rest:
    """Answers requests; may be called from several threads."""

    def __init__(self, service: Service, metrics_path: str, log: RequestLog | None) -> None:
        self._service = service
        self._metrics_path = metrics_path
        self._log = log

    def answer(self, call: Call) -> Answer:
        """Never raises."""
        if _COUNTED.fullmatch(call.target):
            return self._counted(call)
        if self._metrics_path and call.target.partition("?")[0] == self._metrics_path:
            return self._page(call)
        return Answer(404, b"<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>\n", "text/html")

    def refuse(self, status: int, code: str, message: str) -> Answer:
        """A request whose body was not read."""
        self._service.page.requests.add("", code)
        return Answer(status, error_body(message))

    def _page(self, call: Call) -> Answer:
        if call.target != self._metrics_path:
            message = f"Unexpected path: {call.target}. Should be {self._metrics_path}"
            return Answer(400, message.encode("utf-8", "replace"), "text/plain")
        return Answer(200, self._service.page.text().encode(), "text/plain")

    def _counted(self, call: Call) -> Answer:
        began, target, code = time.perf_counter(), Target(), "OK"
        try:
            target = _target(call)
            answer = Answer(200, self._content(call, target))
        except RequestError as error:
            code = error.code
            answer = Answer(HTTP[code], error_body(str(error)))
        page = self._service.page
        page.requests.add(target.model, code)
        if code == "OK":
            page.latency.observe((time.perf_counter() - began) * 1e6, target.model, target.verb, "REST")
        return answer

    def _content(self, call: Call, target: Target) -> bytes:
        if call.method == "OPTIONS":
            return b""
        if target.verb.lower() == "predict":
            return self._predict(call, target)
        if target.verb:
            raise RequestError("UNIMPLEMENTED", f"{target.verb} is not served here; predict is")
        if not target.model:
            raise invalid("Missing model name in request.")
        return self._metadata(target) if target.metadata else self._status(target)

    def _predict(self, call: Call, target: Target) -> bytes:
        text = _inflated(call)
        if self._log is None or not self._log.wants(identity := _identity(call)):
            return self._computed(text, target, None)
        entry = Entry(identity, target.model, request=text)
        try:
            entry.response = self._computed(text, target, entry)
            return entry.response
        except RequestError as error:
            entry.status, entry.response = HTTP[error.code], error_body(str(error))
            raise
        finally:
            self._log.put(entry)

    def _computed(self, text: bytes, target: Target, entry: Entry | None) -> bytes:
        body = predict_json.parse(text)
        with self._service.versions(target.model).borrow(target.version, target.label) as loaded:
            name = body.signature_name
            if entry:
                entry.version, entry.signature = loaded.number, name
            if (signature := loaded.servable.signatures.get(name)) is None:
                raise invalid(f'Serving signature name: "{name}" not found in signature def')
            outputs = self._service.run(target.model, loaded, name, predict_json.feeds(body, signature))
        return predict_json.render(outputs, body.by_row)

    def _status(self, target: Target) -> bytes:
        """Labels are not looked at, as in the original."""
        status = self._service.status(target.model, target.version)
        return _pretty(json_format.MessageToDict(status, **_PRINTED))

    def _metadata(self, target: Target) -> bytes:
        with self._service.versions(target.model).borrow(target.version, target.label) as loaded:
            signatures = self._service.signatures(loaded)
        spec = {"name": target.model, "signature_name": "", "version": str(loaded.number)}
        return _pretty({"model_spec": spec, "metadata": {"signature_def": json_format.MessageToDict(signatures, **_PRINTED)}})


def _target(call: Call) -> Target:
    """What the URL names; raises RequestError where it names nothing."""
    if call.method == "OPTIONS" and b"http" in call.headers.get(b"origin", b""):
        return Target()
    pattern = {"POST": _PREDICT, "GET": _MODEL}.get(call.method)
    if pattern is None or (match := pattern.fullmatch(call.target)) is None:
        raise invalid(f"Malformed request: {call.method} {call.target}")
    parts = match.groupdict()
    version = parts["version"]
    if version is not None and (len(version) > 19 or int(version) >= 2**63):
        raise invalid(f"Failed to convert version: {version} to numeric.")
    return Target(
        unquote(parts["model"] or ""),
        None if version is None else int(version),
        unquote(parts["label"] or ""),
        parts.get("verb") or "",
        bool(parts.get("metadata")),
    )


def _inflated(call: Call) -> bytes:
    if call.headers.get(b"content-encoding", b"").lower() != b"gzip":
        return call.body
    inflater = zlib.decompressobj(wbits=31)
    try:
        text = inflater.decompress(call.body, LARGEST_BODY)
    except zlib.error as error:
        raise invalid(f"the body is not gzip: {error}") from error
    if inflater.unconsumed_tail:
        raise invalid(f"the inflated body has more than {LARGEST_BODY} bytes")
    return text


def _identity(call: Call) -> str:
    return call.headers.get(b"x-request-id", b"").decode("latin-1")


def _pretty(value: Any) -> bytes:
    return f"{json.dumps(value, indent=1)}\n".encode()
