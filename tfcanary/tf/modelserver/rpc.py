"""The gRPC API: PredictionService, ModelService and the health service.

Only Predict, Classify and Regress are counted, as by the original (prediction_service_impl.cc).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import inference, log_messages, predict_json
from tfcanary.tf.modelserver.configs import read_text
from tfcanary.tf.modelserver.health import health_handler
from tfcanary.tf.modelserver.manager import LoadedVersion
from tfcanary.tf.modelserver.reloading import handle_reload
from tfcanary.tf.modelserver.request_log import LogEntry, LogFormat, RequestLogWriter
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.service import ServerCore
from tfcanary.tf.modelserver.status import HTTP_STATUS, RequestError, error_body, invalid_argument
from tfcanary.tf.runtime import DEFAULT
from tfcanary.tf.wire import messages, tensor

if TYPE_CHECKING:
    import numpy as np

MAX_CALLS = 1024
"""The most calls that run or wait for a thread; further ones end with RESOURCE_EXHAUSTED."""
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
        spec = _spec(request)
        return self._core.status(spec.name, _version(spec))

    def reload(self, request: Any, context: Any) -> Any:
        """Handle HandleReloadConfigRequest: take over another config; return once its new models serve."""
        return handle_reload(self._core, request, context.is_active)

    def metadata(self, request: Any, context: Any) -> Any:
        """Handle GetModelMetadata: return `signature_def`, the only metadata field there is, and the injected faults, if any."""
        spec = _spec(request)
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        if unknown := [one for one in request.metadata_field if one != "signature_def"]:
            raise invalid_argument(f"Metadata field {unknown[0]} is not supported")
        with self._borrow(spec) as loaded:
            response = messages.GetModelMetadataResponse(model_spec={"name": spec.name, "version": {"value": loaded.number}})
            response.metadata["signature_def"].Pack(self._core.signatures(loaded))
        if self._core.faults:
            response.metadata["injected_faults"].Pack(StringValue(value=self._core.faults.text))
        return response

    def predict(self, request: Any, context: Any) -> Any:
        """Handle Predict: run a signature on tensors."""
        return self._count("Predict", request, context, self._predict)

    def classify(self, request: Any, context: Any) -> Any:
        """Handle Classify: return the classes of examples."""
        return self._count("Classify", request, context, self._classify)

    def regress(self, request: Any, context: Any) -> Any:
        """Handle Regress: return one number for each example."""
        return self._count("Regress", request, context, self._regress)

    def multi_inference(self, request: Any, context: Any) -> Any:
        """Handle MultiInference: run several signatures of one model on the same examples."""
        spec = request.tasks[0].model_spec if request.tasks else messages.ModelSpec()
        with self._borrow(spec) as loaded:
            response = inference.infer(self._core.runnable(spec.name, loaded), request)
            self._log_message(context, spec, loaded, multi_inference_log={"request": request, "response": response})
        return response

    def _count(self, api: str, request: Any, context: Any, function: Callable[[Any, Any], Any]) -> Any:
        """Handle a request, and count it and its latency."""
        start, model, code = time.perf_counter(), request.model_spec.name, "OK"
        page = self._core.page
        try:
            response = function(request, context)
        except RequestError as error:
            code = error.code
            raise
        finally:
            page.requests.add(model, code)
        page.latency.observe((time.perf_counter() - start) * 1e6, model, api, "GRPC")
        return response

    def _predict(self, request: Any, context: Any) -> Any:
        spec = _spec(request)
        with self._borrow(spec) as loaded:
            feeds = _arrays(request.inputs)
            entry = self._entry(context, spec, loaded)
            try:
                outputs = self._core.run(spec.name, loaded, _signature(spec), feeds, tuple(request.output_filter))
            except RequestError as error:
                self._log_rest_form(entry, feeds, error)
                raise
        self._log_rest_form(entry, feeds, outputs)
        try:
            tensors = {alias: tensor.to_proto(array, typed=True) for alias, array in outputs.items()}
        except Refused as error:
            raise RequestError("UNIMPLEMENTED", str(error)) from error
        response = messages.PredictResponse(model_spec=_answered(spec, loaded), outputs=tensors)
        self._log_message(context, spec, loaded, predict_log={"request": request, "response": response})
        return response

    def _classify(self, request: Any, context: Any) -> Any:
        spec = _spec(request)
        with self._borrow(spec) as loaded:
            result = inference.classify(self._core.runnable(spec.name, loaded), _signature(spec), request.input)
        response = messages.ClassificationResponse(model_spec=_answered(spec, loaded), result=result.message())
        self._log_message(context, spec, loaded, classify_log={"request": request, "response": response})
        return response

    def _regress(self, request: Any, context: Any) -> Any:
        spec = _spec(request)
        with self._borrow(spec) as loaded:
            result = inference.regress(self._core.runnable(spec.name, loaded), _signature(spec), request.input)
        response = messages.RegressionResponse(model_spec=_answered(spec, loaded), result=result.message())
        self._log_message(context, spec, loaded, regress_log={"request": request, "response": response})
        return response

    def _borrow(self, spec: Any) -> AbstractContextManager[LoadedVersion]:
        """Return the version that the spec names, as a context manager; raises RequestError where it names no model."""
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        return self._core.versions(spec.name).borrow(_version(spec), spec.version_label)

    def _entry(self, context: Any, spec: Any, loaded: LoadedVersion) -> LogEntry | None:
        """Return the entry of the request log, still without bodies; None where the request is not in the sample."""
        entry = self._log.begin(str(dict(context.invocation_metadata()).get("x-request-id", "")), spec.name) if self._log else None
        if entry:
            entry.version, entry.signature = loaded.number, _signature(spec)
        return entry

    def _log_rest_form(self, entry: LogEntry | None, feeds: Any, result: Any) -> None:
        """Log a request as JSON; one whose tensors have no REST form is left out."""
        if self._log is None or entry is None or self._log.form is not LogFormat.PARQUET:
            return
        try:
            entry.request = predict_json.columnar("inputs", feeds)
            if isinstance(result, RequestError):
                entry.status, entry.response = HTTP_STATUS[result.code], error_body(str(result))
            else:
                entry.response = predict_json.columnar("outputs", result)
        except RequestError:
            return
        self._log.put(entry)

    def _log_message(self, context: Any, spec: Any, loaded: LoadedVersion, **logs: Any) -> None:
        """Log a request that succeeded as a PredictionLog."""
        if self._log is None or self._log.form is not LogFormat.TFRECORD:
            return
        if entry := self._entry(context, spec, loaded):
            entry.message = log_messages.message(spec.name, entry.signature, loaded.number, **logs)
            self._log.put(entry)


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
    threads = ThreadPoolExecutor(options.grpc_threads, thread_name_prefix="grpc")
    server = grpc.server(threads, options=settings, maximum_concurrent_rpcs=MAX_CALLS)
    server.add_generic_rpc_handlers(tuple(_services(api, options.enable_grpc_healthcheck_service)))
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


def _services(api: GrpcApi, has_health: bool) -> Iterator[grpc.GenericRpcHandler]:
    """Yield a handler for the methods of each service."""
    prediction = {
        "Predict": _method(api.predict, messages.PredictRequest),
        "Classify": _method(api.classify, messages.ClassificationRequest),
        "Regress": _method(api.regress, messages.RegressionRequest),
        "MultiInference": _method(api.multi_inference, messages.MultiInferenceRequest),
        "GetModelMetadata": _method(api.metadata, messages.GetModelMetadataRequest),
    }
    yield grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", prediction)
    model = {
        "GetModelStatus": _method(api.status, messages.GetModelStatusRequest),
        "HandleReloadConfigRequest": _method(api.reload, messages.ReloadConfigRequest),
    }
    yield grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", model)
    if has_health:
        yield health_handler()


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


def _spec(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    return request.model_spec


def _signature(spec: Any) -> str:
    return str(spec.signature_name) or DEFAULT


def _answered(spec: Any, loaded: LoadedVersion) -> Any:
    """Return the spec of a response: what the request left open is filled in."""
    return messages.ModelSpec(name=spec.name, signature_name=_signature(spec), version={"value": loaded.number})


def _arrays(tensors: Any) -> dict[str, np.ndarray]:
    """Return the inputs as arrays; raises RequestError where one contradicts itself, or all together are too large.

    A tensor of a few bytes may stand for an array of any size, because its last value is repeated.
    """
    arrays, left = {}, max(tensor.LARGEST, sum(proto.ByteSize() for proto in tensors.values()))
    try:
        for alias, proto in tensors.items():
            arrays[alias] = tensor.to_array(proto, left)
            left -= arrays[alias].nbytes
    except Refused as error:
        raise invalid_argument(str(error)) from error
    return arrays


def _version(spec: Any) -> int | None:
    return int(spec.version.value) if spec.WhichOneof("version_choice") == "version" else None
