"""The gRPC API: GetModelStatus, HandleReloadConfigRequest, GetModelMetadata and Predict; the other methods of both services answer UNIMPLEMENTED.

Only Predict is counted, as by the original (prediction_service_impl.cc).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import predict_json
from tfcanary.tf.modelserver.configs import read_text
from tfcanary.tf.modelserver.reloading import handle_reload
from tfcanary.tf.modelserver.request_log import LogEntry, RequestLogWriter
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.service import ServerCore
from tfcanary.tf.modelserver.status import HTTP_STATUS, RequestError, error_body, invalid_argument
from tfcanary.tf.runtime import DEFAULT
from tfcanary.tf.wire import messages, tensor

MAX_MESSAGE_LENGTH = 1024
"""The most characters of an error message, as with the original."""
_UNLIMITED = 2**31 - 1


class GrpcApi:
    """The functions of the gRPC API; they are called from several threads."""

    def __init__(self, core: ServerCore, log: RequestLogWriter | None) -> None:
        self._core = core
        self._log = log

    def status(self, request: Any, context: Any) -> Any:
        """Handle GetModelStatus: return the states of a model's versions."""
        spec = _require_name(request.model_spec)
        return self._core.status(spec.name, _version(spec))

    def reload(self, request: Any, context: Any) -> Any:
        """Handle HandleReloadConfigRequest: take over another config; return once its new models serve."""
        return handle_reload(self._core, request, context.is_active)

    def metadata(self, request: Any, context: Any) -> Any:
        """Handle GetModelMetadata: return `signature_def`, the only metadata field there is."""
        spec = _require_name(request.model_spec)
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        if unknown := [one for one in request.metadata_field if one != "signature_def"]:
            raise invalid_argument(f"Metadata field {unknown[0]} is not supported")
        with self._core.versions(spec.name).borrow(_version(spec), spec.version_label) as loaded:
            response = messages.GetModelMetadataResponse(model_spec={"name": spec.name, "version": {"value": loaded.number}})
            response.metadata["signature_def"].Pack(self._core.signatures(loaded))
        return response

    def predict(self, request: Any, context: Any) -> Any:
        """Handle Predict, and count the request and its latency."""
        start, model, code = time.perf_counter(), request.model_spec.name, "OK"
        page = self._core.page
        try:
            response = self._predict(request, context)
        except RequestError as error:
            code = error.code
            raise
        finally:
            page.requests.add(model, code)
        page.latency.observe((time.perf_counter() - start) * 1e6, model, "Predict", "GRPC")
        return response

    def _predict(self, request: Any, context: Any) -> Any:
        spec = _require_name(request.model_spec)
        name = spec.signature_name or DEFAULT
        with self._core.versions(spec.name).borrow(_version(spec), spec.version_label) as loaded:
            try:
                feeds = {alias: tensor.to_array(proto) for alias, proto in request.inputs.items()}
            except Refused as error:
                raise invalid_argument(str(error)) from error
            entry = self._entry(context, spec.name, loaded.number, name)
            try:
                outputs = self._core.run(spec.name, loaded, name, feeds, tuple(request.output_filter))
            except RequestError as error:
                _log_request(self._log, entry, feeds, error)
                raise
        _log_request(self._log, entry, feeds, outputs)
        model_spec = {"name": spec.name, "signature_name": name, "version": {"value": loaded.number}}
        try:
            tensors = {alias: tensor.to_proto(array, typed=True) for alias, array in outputs.items()}
        except Refused as error:
            raise RequestError("UNIMPLEMENTED", str(error)) from error
        return messages.PredictResponse(model_spec=model_spec, outputs=tensors)

    def _entry(self, context: Any, model: str, version: int, signature: str) -> LogEntry | None:
        """Return the entry of the request log, still without bodies; None where the request is not in the sample."""
        if self._log is None:
            return None
        identity = str(dict(context.invocation_metadata()).get("x-request-id", ""))
        return LogEntry(identity, model, b"", version=version, signature=signature) if self._log.is_sampled(identity) else None


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A running gRPC server."""

    port: int
    """The port of the first address; it means nothing for a Unix socket."""
    stop: Callable[[float | None], Any]
    """A function that stops the server: running requests may take this number of seconds.

    It returns an event that is set when all requests have ended.
    """


def start(api: GrpcApi, addresses: Sequence[str], options: Options) -> GrpcServer:
    """Listen on the addresses, `host:port` or `unix:path`, and serve.

    Raises RequestError where an address is taken, or the file of the certificates cannot be used.
    """
    settings: list[tuple[str, str | int]] = [
        ("grpc.so_reuseport", 0),  # with it, a second server could listen on the same port without an error
        ("grpc.max_receive_message_length", _UNLIMITED),
        ("grpc.max_send_message_length", _UNLIMITED),
        *channel_settings(options.grpc_channel_arguments),
    ]
    server = grpc.server(ThreadPoolExecutor(options.grpc_threads, thread_name_prefix="grpc"), options=settings)
    status = _method(api.status, messages.GetModelStatusRequest)
    reload = _method(api.reload, messages.ReloadConfigRequest)
    metadata = _method(api.metadata, messages.GetModelMetadataRequest)
    predict = _method(api.predict, messages.PredictRequest)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.ModelService", {"GetModelStatus": status, "HandleReloadConfigRequest": reload}
            ),
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.PredictionService", {"Predict": predict, "GetModelMetadata": metadata}
            ),
        )
    )
    credentials = _credentials(options.ssl_config_file) if options.ssl_config_file else None
    try:
        ports = [server.add_secure_port(one, credentials) if credentials else server.add_insecure_port(one) for one in addresses]
    except RuntimeError as error:
        raise invalid_argument(f"Failed to BuildAndStart gRPC server: {error}") from error
    server.start()
    return GrpcServer(ports[0], server.stop)


def channel_settings(arguments: str) -> Iterator[tuple[str, str | int]]:
    """Yield gRPC's settings in `name=value,name=value`; a value that is a whole number is passed on as a number."""
    for argument in filter(None, arguments.split(",")):
        name, _, value = argument.partition("=")
        yield name, int(value) if re.fullmatch(r"[+-]?[0-9]{1,9}", value) else value


def _credentials(file: str) -> Any:
    config = read_text(file, messages.SSLConfig())
    if config.client_verify and not config.custom_ca:
        raise invalid_argument(f"{file}: client_verify needs custom_ca, the certificate of the authority that signs the clients' ones")
    pair = (config.server_key.encode(), config.server_cert.encode())
    return grpc.ssl_server_credentials([pair], config.custom_ca.encode() or None, config.client_verify)


def _method(function: Callable[[Any, Any], Any], request_class: Any) -> Any:
    """Return a function of the API as a handler for gRPC, which ends a call with the code of a RequestError."""

    def handle(request: Any, context: Any) -> Any:
        try:
            return function(request, context)
        except RequestError as error:
            text = str(error)
            if len(text) > MAX_MESSAGE_LENGTH:
                text = f"{text[:MAX_MESSAGE_LENGTH]}...TRUNCATED"
            return context.abort(grpc.StatusCode[error.code], text)

    return grpc.unary_unary_rpc_method_handler(handle, request_class.FromString, lambda response: response.SerializeToString())


def _require_name(spec: Any) -> Any:
    if not spec.name:
        raise invalid_argument("Missing ModelSpec")
    return spec


def _version(spec: Any) -> int | None:
    return int(spec.version.value) if spec.WhichOneof("version_choice") == "version" else None


def _log_request(log: RequestLogWriter | None, entry: LogEntry | None, feeds: Any, result: Any) -> None:
    """Write a sampled request to the log, in its REST form; a request whose tensors have no REST form is left out."""
    if log is None or entry is None:
        return
    try:
        entry.request = predict_json.columnar("inputs", feeds)
        if isinstance(result, RequestError):
            entry.status, entry.response = HTTP_STATUS[result.code], error_body(str(result))
        else:
            entry.response = predict_json.columnar("outputs", result)
    except RequestError:
        return
    log.put(entry)
