"""The REST API: predict, classify, regress, status, metadata, and the metrics page.

Every request below /v1/ is counted, also a GET and one that is wrong; only a request that succeeds has a latency
(http_server.cc).
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

from tfcanary.tf.modelserver import examples_json, inference, log_messages, predict_json, request_body
from tfcanary.tf.modelserver.manager import LoadedVersion
from tfcanary.tf.modelserver.request_body import RequestBody
from tfcanary.tf.modelserver.request_log import LogEntry, LogFormat, RequestLogWriter
from tfcanary.tf.modelserver.service import ServerCore
from tfcanary.tf.modelserver.status import HTTP_STATUS, RequestError, error_body, invalid_argument

MAX_BODY_SIZE = 100 << 20
"""The most bytes of one request, also after it was inflated."""

_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII)
_MODEL = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?", re.IGNORECASE | re.ASCII)
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_JSON = "application/json"
_JSON_FORMAT = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request as the client sent it."""

    method: str
    target: str
    """The path and the query, still percent-encoded."""
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response to one HTTP request."""

    status: int
    content: bytes
    content_type: str = _JSON


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """What the URL of a request names."""

    model: str = ""
    version: int | None = None
    label: str = ""
    verb: str = ""
    """`predict`, `classify` or `regress`, in the client's own spelling; empty for a GET."""
    metadata: bool = False
    """Whether the signatures are requested."""


class RestApi:
    """The functions of the REST API; they may be called from several threads."""

    def __init__(self, core: ServerCore, metrics_path: str, log: RequestLogWriter | None) -> None:
        self._core = core
        self._metrics_path = metrics_path
        self._log = log
        self._wants_messages = log is not None and log.form is LogFormat.TFRECORD

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Return the response to a request, an error as well; raises nothing."""
        if _API.fullmatch(request.target):
            return self._handle_api_request(request)
        if self._metrics_path and request.target.partition("?")[0] == self._metrics_path:
            return self._page(request)
        return HttpResponse(404, b"<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>\n", "text/html")

    def refuse(self, status: int, code: str, message: str) -> HttpResponse:
        """Count a request whose body was not read, and return the response that reports this error."""
        self._core.page.requests.add("", code)
        return HttpResponse(status, error_body(message))

    def _page(self, request: HttpRequest) -> HttpResponse:
        if request.target != self._metrics_path:
            message = f"Unexpected path: {request.target}. Should be {self._metrics_path}"
            return HttpResponse(400, message.encode("utf-8", "replace"), "text/plain")
        return HttpResponse(200, self._core.page.text().encode(), "text/plain")

    def _handle_api_request(self, request: HttpRequest) -> HttpResponse:
        """Handle a request of the API, and count it and its latency."""
        start, target, code = time.perf_counter(), ModelTarget(), "OK"
        try:
            target = _target(request)
            response = HttpResponse(200, self._content(request, target))
        except RequestError as error:
            code = error.code
            response = HttpResponse(HTTP_STATUS[code], error_body(str(error)))
        page = self._core.page
        page.requests.add(target.model, code)
        if code == "OK":
            page.latency.observe((time.perf_counter() - start) * 1e6, target.model, target.verb, "REST")
        return response

    def _content(self, request: HttpRequest, target: ModelTarget) -> bytes:
        if request.method == "OPTIONS":
            return b""
        if target.verb:
            return self._infer(request, target)
        if not target.model:
            raise invalid_argument("Missing model name in request.")
        return self._metadata(target) if target.metadata else self._status(target)

    def _infer(self, request: HttpRequest, target: ModelTarget) -> bytes:
        """Run the model, and log the request where it is in the sample."""
        text = _inflate(request)
        entry = None
        if self._log:
            entry = self._log.begin(request.headers.get(b"x-request-id", b"").decode("latin-1"), target.model)
        if entry is None or self._log is None:
            return self._run(text, target, None)
        is_predict = target.verb.lower() == "predict"
        response = b""
        try:
            response = self._run(text, target, entry)
        except RequestError as error:
            entry.status, response = HTTP_STATUS[error.code], error_body(str(error))
            raise
        finally:
            if is_predict:
                entry.request, entry.response = text, response
            self._log.put(entry)
        return response

    def _run(self, text: bytes, target: ModelTarget, entry: LogEntry | None) -> bytes:
        body = request_body.parse(text)
        verb = target.verb.lower()
        source = None if verb == "predict" else examples_json.read(body)
        with self._core.versions(target.model).borrow(target.version, target.label) as loaded:
            if entry:
                entry.version, entry.signature = loaded.number, body.signature_name
            if verb == "predict":
                return self._predict(body, target.model, loaded, entry)
            return self._classify_or_regress(verb, source, target.model, loaded, body.signature_name, entry)

    def _predict(self, body: RequestBody, model: str, loaded: LoadedVersion, entry: LogEntry | None) -> bytes:
        name = body.signature_name
        if (signature := loaded.servable.signatures.get(name)) is None:
            raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
        feeds = predict_json.feeds(body, signature)
        outputs = self._core.run(model, loaded, name, feeds)
        response = predict_json.render(outputs, predict_json.is_by_row(body))
        if entry and self._wants_messages:
            entry.message = log_messages.predict_message(model, name, loaded.number, feeds, outputs)
        return response

    def _classify_or_regress(
        self, verb: str, source: Any, model: str, loaded: LoadedVersion, signature: str, entry: LogEntry | None
    ) -> bytes:
        function = inference.classify if verb == "classify" else inference.regress
        result = function(self._core.runnable(model, loaded), signature, source)
        if entry and self._wants_messages:
            log = {
                "request": {"model_spec": {"name": model, "signature_name": signature}, "input": source},
                "response": {"result": result.message()},
            }
            entry.message = log_messages.message(model, signature, loaded.number, **{f"{verb}_log": log})
        return examples_json.render(result)

    def _status(self, target: ModelTarget) -> bytes:
        """Return the status of one version or of all; a label in the URL is ignored, as by the original."""
        status = self._core.status(target.model, target.version)
        return _indent(json_format.MessageToDict(status, **_JSON_FORMAT))

    def _metadata(self, target: ModelTarget) -> bytes:
        with self._core.versions(target.model).borrow(target.version, target.label) as loaded:
            signatures = self._core.signatures(loaded)
        spec = {"name": target.model, "signature_name": "", "version": str(loaded.number)}
        metadata = {"signature_def": json_format.MessageToDict(signatures, **_JSON_FORMAT)}
        if self._core.faults:
            metadata["injected_faults"] = self._core.faults.text
        return _indent({"model_spec": spec, "metadata": metadata})


def _target(request: HttpRequest) -> ModelTarget:
    """Return what the URL names; raises RequestError where it names nothing."""
    if request.method == "OPTIONS" and b"http" in request.headers.get(b"origin", b""):
        return ModelTarget()
    pattern = {"POST": _PREDICT, "GET": _MODEL}.get(request.method)
    if pattern is None or (match := pattern.fullmatch(request.target)) is None:
        raise invalid_argument(f"Malformed request: {request.method} {request.target}")
    parts = match.groupdict()
    version = parts["version"]
    if version is not None and (len(version) > 19 or int(version) >= 2**63):
        raise invalid_argument(f"Failed to convert version: {version} to numeric.")
    return ModelTarget(
        unquote(parts["model"] or ""),
        None if version is None else int(version),
        unquote(parts["label"] or ""),
        parts.get("verb") or "",
        bool(parts.get("metadata")),
    )


def _inflate(request: HttpRequest) -> bytes:
    """Return the body, decompressed where it is GZIP; raises RequestError where it is damaged or inflates to too many bytes."""
    if request.headers.get(b"content-encoding", b"").lower() != b"gzip":
        return request.body
    inflater = zlib.decompressobj(wbits=31)
    try:
        text = inflater.decompress(request.body, MAX_BODY_SIZE)
    except zlib.error as error:
        raise invalid_argument(f"the body is not gzip: {error}") from error
    if inflater.unconsumed_tail:
        raise invalid_argument(f"the inflated body has more than {MAX_BODY_SIZE} bytes")
    return text


def _indent(value: Any) -> bytes:
    return f"{json.dumps(value, indent=1)}\n".encode()
