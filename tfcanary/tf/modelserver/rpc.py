"""The gRPC surface: GetModelStatus, GetModelMetadata and Predict. Only Predict is counted (prediction_service_impl.cc).

The other methods of the two services answer UNIMPLEMENTED.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import predict_json
from tfcanary.tf.modelserver.request_log import Entry, RequestLog
from tfcanary.tf.modelserver.service import Service
from tfcanary.tf.modelserver.status import HTTP, RequestError, error_body, invalid
from tfcanary.tf.runtime import DEFAULT
from tfcanary.tf.wire import messages, tensor

THREADS = 8
LONGEST_MESSAGE = 1024
"""Characters of an error; the original cuts there, too."""
_UNLIMITED = 2**31 - 1


class Rpc:
    """The handlers; called from several threads."""

    def __init__(self, service: Service, log: RequestLog | None) -> None:
        self._service = service
        self._log = log

    def status(self, request: Any, context: Any) -> Any:
        """GetModelStatus."""
        if not request.model_spec.name:
            raise invalid("Missing ModelSpec")
        return self._service.status(request.model_spec.name, _version(request.model_spec))

    def metadata(self, request: Any, context: Any) -> Any:
        """GetModelMetadata; `signature_def` is all there is."""
        spec = _named(request.model_spec)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        if unknown := [one for one in request.metadata_field if one != "signature_def"]:
            raise invalid(f"Metadata field {unknown[0]} is not supported")
        with self._service.versions(spec.name).borrow(_version(spec), spec.version_label) as loaded:
            answer = messages.GetModelMetadataResponse(model_spec={"name": spec.name, "version": {"value": loaded.number}})
            answer.metadata["signature_def"].Pack(self._service.signatures(loaded))
        return answer

    def predict(self, request: Any, context: Any) -> Any:
        """Predict, counted and timed."""
        began, model, code = time.perf_counter(), request.model_spec.name, "OK"
        page = self._service.page
        try:
            answer = self._predict(request, context)
        except RequestError as error:
            code = error.code
            raise
        finally:
            page.requests.add(model, code)
        page.latency.observe((time.perf_counter() - began) * 1e6, model, "Predict", "GRPC")
        return answer

    def _predict(self, request: Any, context: Any) -> Any:
        spec = _named(request.model_spec)
        name = spec.signature_name or DEFAULT
        with self._service.versions(spec.name).borrow(_version(spec), spec.version_label) as loaded:
            try:
                feeds = {alias: tensor.to_array(proto) for alias, proto in request.inputs.items()}
            except Refused as error:
                raise invalid(str(error)) from error
            entry = self._entry(context, spec.name, loaded.number, name)
            try:
                outputs = self._service.run(spec.name, loaded, name, feeds, tuple(request.output_filter))
            except RequestError as error:
                _keep(self._log, entry, feeds, error)
                raise
        _keep(self._log, entry, feeds, outputs)
        model_spec = {"name": spec.name, "signature_name": name, "version": {"value": loaded.number}}
        try:
            tensors = {alias: tensor.to_proto(array, typed=True) for alias, array in outputs.items()}
        except Refused as error:
            raise RequestError("UNIMPLEMENTED", str(error)) from error
        return messages.PredictResponse(model_spec=model_spec, outputs=tensors)

    def _entry(self, context: Any, model: str, version: int, signature: str) -> Entry | None:
        if self._log is None:
            return None
        identity = str(dict(context.invocation_metadata()).get("x-request-id", ""))
        return Entry(identity, model, b"", version=version, signature=signature) if self._log.wants(identity) else None


@dataclass(frozen=True, slots=True)
class Listener:
    """A gRPC server that runs."""

    port: int
    stop: Callable[[float | None], Any]
    """Take no new requests, give the others so many seconds; the event that it gives is set when all have ended."""


def start(rpc: Rpc, address: str) -> Listener:
    """Listen and serve. Raises RuntimeError where the port is taken."""
    options = [
        ("grpc.so_reuseport", 0),  # a second server would share the port without a word
        ("grpc.max_receive_message_length", _UNLIMITED),
        ("grpc.max_send_message_length", _UNLIMITED),
    ]
    server = grpc.server(ThreadPoolExecutor(THREADS, thread_name_prefix="grpc"), options=options)
    status = _method(rpc.status, messages.GetModelStatusRequest)
    metadata = _method(rpc.metadata, messages.GetModelMetadataRequest)
    predict = _method(rpc.predict, messages.PredictRequest)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", {"GetModelStatus": status}),
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.PredictionService", {"Predict": predict, "GetModelMetadata": metadata}
            ),
        )
    )
    port = server.add_insecure_port(address)
    server.start()
    return Listener(port, server.stop)


def _method(answer: Callable[[Any, Any], Any], request: Any) -> Any:
    def handled(message: Any, context: Any) -> Any:
        try:
            return answer(message, context)
        except RequestError as error:
            text = str(error)
            if len(text) > LONGEST_MESSAGE:
                text = f"{text[:LONGEST_MESSAGE]}...TRUNCATED"
            return context.abort(grpc.StatusCode[error.code], text)

    return grpc.unary_unary_rpc_method_handler(handled, request.FromString, lambda message: message.SerializeToString())


def _named(spec: Any) -> Any:
    if not spec.name:
        raise invalid("Missing ModelSpec")
    return spec


def _version(spec: Any) -> int | None:
    return int(spec.version.value) if spec.WhichOneof("version_choice") == "version" else None


def _keep(log: RequestLog | None, entry: Entry | None, feeds: Any, result: Any) -> None:
    """Put a sampled request into the log in its REST form; what has none is left out."""
    if log is None or entry is None:
        return
    try:
        entry.request = predict_json.columnar("inputs", feeds)
        if isinstance(result, RequestError):
            entry.status, entry.response = HTTP[result.code], error_body(str(result))
        else:
            entry.response = predict_json.columnar("outputs", result)
    except RequestError:
        return
    log.put(entry)
