"""The server's flags: names, defaults and syntax are those of `tensorflow_model_server`; a few flags are our own.

The syntax is `--name=value`, and also `--name` for a switch. An unknown flag only gives a warning, as with the original,
so that arguments that were made for the original start this server, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tfcanary.core.errors import Refused


@dataclass(frozen=True, slots=True)
class Options:
    """The values of the flags; the original does not have those whose description begins with "Ours"."""

    port: int = 8500
    """The port of gRPC. 0: no gRPC, or any free port where `ports_file` is set."""
    rest_api_port: int = 0
    """The port of REST and of the metrics page. 0: no REST, or any free port where `ports_file` is set."""
    model_name: str = "default"
    model_base_path: str = ""
    """The directory of the version directories."""
    model_config_file: str = ""
    """A ModelServerConfig in text format, which replaces `model_name` and `model_base_path`."""
    monitoring_config_file: str = ""
    """A MonitoringConfig in text format; without it there is no metrics page."""
    file_system_poll_wait_seconds: int = 1
    """Seconds between two looks for new versions. 0: the server looks at its start only."""
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    rest_api_timeout_in_ms: int = 30_000
    """Milliseconds that TensorFlow may take for one request."""
    enable_model_warmup: bool = True
    """Run `assets.extra/tf_serving_warmup_requests` before a version becomes available."""
    allow_version_labels_for_unavailable_models: bool = False
    tensorflow_session_parallelism: int = 0
    """TensorFlow's threads; 0 is one thread, which serves small models fastest."""

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
        return max(self.tensorflow_session_parallelism, 1)


WITHOUT_EFFECT = frozenset(
    {
        "num_load_threads",
        "num_unload_threads",
        "flush_filesystem_caches",
        "rest_api_num_threads",
        "grpc_max_threads",
        "enable_profiler",
        "remove_unused_fields_from_bundle_metagraph",
        "tensorflow_intra_op_parallelism",
        "tensorflow_inter_op_parallelism",
    }
)
"""Flags about the original's inner workings, which are accepted without a warning and have no effect."""


def parse(arguments: Sequence[str]) -> tuple[Options, tuple[str, ...]]:
    """Return the options, and a warning for each unknown argument; raises Refused where a flag has a wrong value."""
    types = {field.name: type(field.default) for field in fields(Options)}
    values: dict[str, Any] = {}
    warnings = []
    for argument in arguments:
        name, separator, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in types or not (separator or types[name] is bool):
            if name not in WITHOUT_EFFECT:
                warnings.append(f"unknown argument: {argument}")
            continue
        values[name] = _value(name, types[name], text if separator else "true")
    options = Options(**values)
    for problem in _problems(options):
        raise Refused(problem)
    return options, tuple(warnings)


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
    for name in ("drain_seconds", "request_log_rows", "request_log_seconds", "max_num_load_retries", "load_retry_interval_micros"):
        if not getattr(options, name) >= 0:
            yield f"--{name}={getattr(options, name):g}: must not be negative"
