"""The server's flags: the original's names, defaults and syntax, and a few of our own.

`--name=value`, and for a switch also `--name`. An unknown flag is only warned about, as the original does it: a typo must be
seen on the terminal, yet arguments made for the original must start this server too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tfcanary.core.errors import Refused


@dataclass(frozen=True, slots=True)
class Options:
    """The flags; what stands after "ours" the original does not have."""

    port: int = 8500
    """gRPC. 0: none; any free one where `ports_file` is given."""
    rest_api_port: int = 0
    """REST and the metrics page. 0: none; any free one where `ports_file` is given."""
    model_name: str = "default"
    model_base_path: str = ""
    """A directory of version directories."""
    model_config_file: str = ""
    """A ModelServerConfig in text format; then the two above are ignored."""
    monitoring_config_file: str = ""
    """A MonitoringConfig in text format; without it there is no metrics page."""
    file_system_poll_wait_seconds: int = 1
    """How often versions are looked for. 0: at start only."""
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    rest_api_timeout_in_ms: int = 30_000
    """How long one request may compute."""
    enable_model_warmup: bool = True
    """Run `assets.extra/tf_serving_warmup_requests` before a version becomes available."""
    allow_version_labels_for_unavailable_models: bool = False
    tensorflow_session_parallelism: int = 0
    """Threads of TensorFlow; 0 is one, which serves small models fastest."""

    host: str = ""
    """Ours: the address to listen on; by default all of them, as the original does."""
    ports_file: str = ""
    """Ours: where `{"rest": …, "grpc": …}` is written once the server serves."""
    drain_seconds: float = 0.0
    """Ours: how long requests may take to finish after SIGTERM; 0: they die with the server, as in the original."""
    request_log_dir: str = ""
    """Ours: where a sample of requests and answers is kept, as Parquet files."""
    request_log_sample: float = 0.1
    """Ours: the share that is kept."""
    request_log_rows: int = 1000
    """Ours: a file is complete after so many rows …"""
    request_log_seconds: float = 10.0
    """Ours: … or when its first row is so old."""

    @property
    def threads(self) -> int:
        """Threads of TensorFlow, at least one."""
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
"""Flags of the original that are about its inner workings: accepted in silence."""


def parse(arguments: Sequence[str]) -> tuple[Options, tuple[str, ...]]:
    """The options, and a warning for each argument that is none of them; raises Refused for a value of the wrong type."""
    kinds = {field.name: type(field.default) for field in fields(Options)}
    values: dict[str, Any] = {}
    warnings = []
    for argument in arguments:
        name, separator, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in kinds or not (separator or kinds[name] is bool):
            if name not in WITHOUT_EFFECT:
                warnings.append(f"unknown argument: {argument}")
            continue
        values[name] = _value(name, kinds[name], text if separator else "true")
    options = Options(**values)
    _check(options)
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


def _check(options: Options) -> None:
    for problem in _problems(options):
        raise Refused(problem)


def _problems(options: Options) -> Iterator[str]:
    for name in ("port", "rest_api_port"):
        if not 0 <= getattr(options, name) < 65536:
            yield f"--{name}={getattr(options, name)}: must be a port, from 0 to 65535"
    if not 0 <= options.request_log_sample <= 1:
        yield f"--request_log_sample={options.request_log_sample:g}: must be a share, from 0 to 1"
    for name in ("drain_seconds", "request_log_rows", "request_log_seconds", "max_num_load_retries", "load_retry_interval_micros"):
        if not getattr(options, name) >= 0:
            yield f"--{name}={getattr(options, name):g}: must not be negative"
