"""The client of one model server, ours or `tensorflow_model_server`: predict requests over REST, status and metadata over gRPC.

A GET over REST would be counted among the requests that the judge compares; over gRPC only Predict is. TensorFlow is not imported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any
from urllib.parse import quote

import urllib3

from tfcanary.core.domain import Prediction, Request
from tfcanary.core.errors import Unavailable
from tfcanary.tf.runtime import Signature, signature_from

LARGEST_ANSWER = 64 << 20
"""Bytes that are read of an answer, at most."""
LONGEST_ERROR = 500
"""Characters that are kept of an error that is not JSON, such as a proxy's page."""
CONNECTIONS = 16
"""Connections that stay open: so many threads can send requests at a time without connecting anew."""
PRIVATE_PREFIX = "__saved_model_"
"""The beginning of the names of signatures that TensorFlow uses itself."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The status of a model version, in the server's words."""

    state: str
    """START, LOADING, AVAILABLE, UNLOADING or END."""
    code: str
    """`OK`, or the code of the error that ended the version, for example NOT_FOUND."""
    message: str


class Client:
    """The client of one model on one server, which threads may share. Every method raises Unavailable, with the address, where no server answers."""

    def __init__(self, rest: str, grpc: str, model: str, timeout: float = 30.0) -> None:
        """`rest`: base address, for example http://127.0.0.1:8501; `grpc`: host:port; `timeout`: seconds for one answer."""
        self._address = grpc
        self._url = f"{rest.rstrip('/')}/v1/models/{quote(model, safe='')}:predict"
        self._rest = rest
        self._model = model
        self._timeout = timeout
        # Tried again only where no connection was made: a request that was sent may have been counted.
        retries = urllib3.Retry(connect=2, read=0, redirect=0, status=0, other=0, backoff_factor=0.1, backoff_jitter=0.1)
        self._http = urllib3.PoolManager(maxsize=CONNECTIONS, timeout=urllib3.Timeout(total=timeout), retries=retries)
        self._lock = Lock()
        self._channel: Any = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the server."""
        self._http.clear()
        with self._lock:
            if self._channel:
                self._channel.close()
                self._channel = None

    def predict(self, request: Request) -> Prediction:
        """Send one predict request and return its answer, whatever the status; a body that is not JSON becomes `{"error": …}`."""
        headers = {"content-type": "application/json", **({"x-request-id": request.id} if request.id else {})}
        began = time.perf_counter()
        try:
            answer = self._http.request("POST", self._url, body=json.dumps(request.body), headers=headers, preload_content=False)
            with answer:
                content = answer.read(LARGEST_ANSWER + 1)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self._rest}: the model server does not answer ({error})") from error
        seconds = time.perf_counter() - began
        if len(content) > LARGEST_ANSWER:
            raise Unavailable(f"{self._rest}: the answer has more than {LARGEST_ANSWER} bytes")
        return Prediction(answer.status, _body(content), seconds)

    def status(self, version: int) -> VersionStatus | None:
        """The status of a version; None where the server does not know the version."""
        from tfcanary.tf.wire import messages

        spec = {"name": self._model, "version": {"value": version}}
        request = messages.GetModelStatusRequest(model_spec=spec)
        answer = self._call("ModelService/GetModelStatus", request, messages.GetModelStatusResponse)
        for one in answer.model_version_status if answer else ():
            state = messages.ModelVersionStatus.State.Name(one.state)
            return VersionStatus(state, messages.Code.Name(one.status.error_code), one.status.error_message)
        return None

    def metadata(self) -> Mapping[str, Signature] | None:
        """The signatures of the version that is served; None where none is."""
        from tfcanary.tf.wire import messages

        request = messages.GetModelMetadataRequest(model_spec={"name": self._model}, metadata_field=["signature_def"])
        answer = self._call("PredictionService/GetModelMetadata", request, messages.GetModelMetadataResponse)
        if answer is None:
            return None
        signatures = messages.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return {name: signature_from(one) for name, one in sorted(signatures.signature_def.items()) if not name.startswith(PRIVATE_PREFIX)}

    def _call(self, method: str, request: Any, answer: Any) -> Any:
        """The response message; None where the server says NOT_FOUND."""
        import grpc

        with self._lock:
            channel = self._channel = self._channel or grpc.insecure_channel(self._address)
        call = channel.unary_unary(f"/tensorflow.serving.{method}", type(request).SerializeToString, answer.FromString)
        try:
            return call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise Unavailable(f"{self._address}: the model server does not answer ({error.code().name}: {error.details()})") from error


def _body(content: bytes) -> Mapping[str, object]:
    """The answer as JSON; NaN and infinities are literals, as TF Serving writes them."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else {"error": content[:LONGEST_ERROR].decode("utf-8", "replace")}
