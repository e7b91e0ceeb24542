"""The server's flags: names, defaults and syntax are those of `tensorflow_model_server`; a few flags are our own.

The syntax is `--name=value`, and also `--name` for a switch. An unknown flag only gives a warning, as with the original,
so that arguments that were made for the original start this server, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tfcanary.core.errors import Refused

THREADS_PER_CPU = 4


@dataclass(frozen=True, slots=True)
class Options:
    """The values of the flags; the original does not have those whose description begins with "Ours"."""

    version: bool = False
    """Print the version and end."""
    port: int = 8500
    """The port of gRPC. 0: no port, so `grpc_socket_path` is required; where `ports_file` is set, any free port."""
    grpc_socket_path: str = ""
    """The path of a Unix socket on which gRPC is served, too; a socket that lies there is replaced."""
    grpc_channel_arguments: str = ""
    """Settings of the gRPC server, as `name=value,name=value`."""
    grpc_max_threads: int = 0
    """How many gRPC requests are handled at once; 0: four for each CPU."""
    rest_api_port: int = 0
    """The port of REST and of the metrics page. 0: no REST, or any free port where `ports_file` is set."""
    rest_api_num_threads: int = 0
    """How many REST requests are handled at once; 0: four for each CPU."""
    rest_api_timeout_in_ms: int = 30_000
    """Milliseconds that TensorFlow may take for one request."""
    model_name: str = "default"
    model_base_path: str = ""
    """The directory of the version directories."""
    model_config_file: str = ""
    """A ModelServerConfig in text format, which replaces `model_name` and `model_base_path`."""
    model_config_file_poll_wait_seconds: int = 0
    """Seconds after which `model_config_file` is read again and applied; 0: never."""
    monitoring_config_file: str = ""
    """A MonitoringConfig in text format; without it there is no metrics page."""
    ssl_config_file: str = ""
    """An SSLConfig in text format, for gRPC."""
    file_system_poll_wait_seconds: int = 1
    """Seconds between two looks for new versions. 0: the server looks once; negative: never."""
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    allow_version_labels_for_unavailable_models: bool = False
    """A new label may name a version that does not serve yet."""
    enable_model_warmup: bool = True
    """Run `assets.extra/tf_serving_warmup_requests` before a version becomes available."""
    num_request_iterations_for_warmup: int = 1
    """How often the warm-up requests are run."""
    saved_model_tags: str = "serve"
    """The tags of the graph that is loaded, as `tag,tag`."""
    enable_batching: bool = False
    """Run the requests of several clients as one batch."""
    batching_parameters_file: str = ""
    """The BatchingParameters in text format, for `enable_batching`."""
    enable_per_model_batching_parameters: bool = False
    """With `enable_batching`: a version has its own parameters in `batching_params.pbtxt`, and no batches without this file."""
    tensorflow_session_parallelism: int = 0
    """TensorFlow's threads; 0 is one thread, which serves small models fastest."""
    tensorflow_intra_op_parallelism: int = 0
    """TensorFlow's threads within one operation."""
    tensorflow_inter_op_parallelism: int = 0
    """TensorFlow's threads between operations."""

    enable_grpc_healthcheck_service: bool = False
    """Serve gRPC's health service, too."""

    host: str = ""
    """Ours: the address to listen on; empty: all addresses, as the original does."""
    ports_file: str = ""
    """Ours: the file to which `{"rest": …, "grpc": …}` is written once the server serves."""
    drain_seconds: float = 0.0
    """Ours: seconds that running requests may take after SIGTERM; 0: they die with the server, as with the original."""
    request_log_dir: str = ""
    """Ours: the directory for files with a sample of requests and responses."""
    request_log_format: str = "parquet"
    """Ours: `parquet`: predict requests and responses as JSON; `tfrecord`: all that succeeded, as PredictionLog messages."""
    request_log_sample: float = 0.1
    """Ours: the share of the requests that is logged, from 0 to 1."""
    request_log_rows: int = 1000
    """Ours: a file of the request log is complete after this number of requests."""
    request_log_seconds: float = 10.0
    """Ours: a file of the request log is complete this many seconds after its first request."""
    inject: str = ""
    """Ours: faults that are injected into responses, such as `latency=+30%,errors=2%,nan=1%,after=60s`."""

    @property
    def threads(self) -> int:
        """TensorFlow's threads, at least one."""
        return max(self.tensorflow_session_parallelism, self.tensorflow_intra_op_parallelism, self.tensorflow_inter_op_parallelism, 1)

    @property
    def tags(self) -> frozenset[str]:
        """The tags of the graph that is loaded."""
        return frozenset(filter(None, self.saved_model_tags.split(",")))

    @property
    def grpc_threads(self) -> int:
        """The number of threads that handle gRPC requests."""
        return self.grpc_max_threads or THREADS_PER_CPU * cpus()

    @property
    def rest_threads(self) -> int:
        """The number of threads that handle REST requests."""
        return self.rest_api_num_threads or THREADS_PER_CPU * cpus()


WITHOUT_EFFECT = frozenset(
    {
        "enable_profiler",
        "enable_serialization_as_tensor_content",
        "enable_signature_method_name_check",
        "flush_filesystem_caches",
        "mixed_precision",
        "num_load_threads",
        "num_unload_threads",
        "per_process_gpu_memory_fraction",
        "platform_config_file",
        "prefer_tflite_model",
        "remove_unused_fields_from_bundle_metagraph",
        "rest_api_enable_cors_support",
        "tensorflow_session_config_file",
    }
)
"""Flags of the original that are accepted without a warning and have no effect."""


NOT_NEGATIVE = (
    "drain_seconds",
    "grpc_max_threads",
    "load_retry_interval_micros",
    "max_num_load_retries",
    "request_log_rows",
    "request_log_seconds",
    "rest_api_num_threads",
)


def parse(arguments: Sequence[str]) -> tuple[Options, tuple[str, ...]]:
    """Return the options, and a warning for each unknown argument; raises Refused where a flag has a wrong value."""
    types = {field.name: type(field.default) for field in fields(Options)}
    values: dict[str, Any] = {}
    warnings = []
    for argument in arguments:
        name, separator, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in types or not (separator or types[name] is bool):
            if not argument.startswith("--") or name not in WITHOUT_EFFECT:
                warnings.append(f"unknown argument: {argument}")
            continue
        values[name] = _value(name, types[name], text if separator else "true")
    options = Options(**values)
    for problem in _problems(options):
        raise Refused(problem)
    return options, tuple(warnings)


def usage() -> str:
    """Return the list of all flags with their defaults, which is printed after an unknown argument."""
    own = (
        f"--{field.name}={str(field.default).lower() if isinstance(field.default, bool) else field.default}" for field in fields(Options)
    )
    return "\n\t".join(("usage: tfcanary-model-server", "Flags:", *own, *(f"--{name}=… (no effect)" for name in sorted(WITHOUT_EFFECT))))


def cpus() -> int:
    """Return the number of CPUs on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _value(name: str, kind: type, text: str) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise Refused(f"--{name}={text}: must be true or false")
        return text.lower() in ("true", "1")
    try:
        return kind(text)
    except ValueError as error:
        raise Refused(f"--{name}={text}: must be {'a whole number' if kind is int else 'a number'}") from error


def _problems(options: Options) -> Iterator[str]:
    for name in ("port", "rest_api_port"):
        if not 0 <= getattr(options, name) < 65536:
            yield f"--{name}={getattr(options, name)}: must be a port, from 0 to 65535"
    if options.request_log_format not in ("parquet", "tfrecord"):
        yield f"--request_log_format={options.request_log_format}: must be parquet or tfrecord"
    if not 0 <= options.request_log_sample <= 1:
        yield f"--request_log_sample={options.request_log_sample:g}: must be a share, from 0 to 1"
    for name in NOT_NEGATIVE:
        if not getattr(options, name) >= 0:
            yield f"--{name}={getattr(options, name):g}: must not be negative"
    for setting in filter(None, options.grpc_channel_arguments.split(",")):
        if not setting.partition("=")[1]:
            yield f"--grpc_channel_arguments={options.grpc_channel_arguments}: {setting!r} must be name=value"
