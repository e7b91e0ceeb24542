"""Reads the server's two configuration files: which models it serves, and whether it has a metrics page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.wire import messages

METRICS_PATH = "/monitoring/prometheus/metrics"
"""The path of the metrics page where the MonitoringConfig names none."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model, and which of its versions are served."""

    name: str
    base_path: Path
    """The directory of the version directories."""
    specific: tuple[int, ...] | None = None
    """The versions to serve; None: the highest ones."""
    latest: int | None = 1
    """How many of the highest versions are served where `specific` is None; None: all versions."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """The version of each label that requests may use."""


def models(options: Options) -> tuple[ModelConfig, ...]:
    """Return the models to serve.

    Raises Refused where a file or a flag cannot be used, with TF Serving's message where it has one.
    """
    if not options.model_config_file:
        if not options.model_base_path:
            raise Refused("neither --model_config_file nor --model_base_path is given: there is nothing to serve")
        return (ModelConfig(options.model_name, _base_path(options.model_base_path)),)
    config = _read(options.model_config_file, messages.ModelServerConfig())
    configs = tuple(_model(one) for one in config.model_config_list.config)
    for number, one in enumerate(configs):
        if one.name in {before.name for before in configs[:number]}:
            raise Refused(f"Illegal to list model {one.name} multiple times in config list")
    return configs


def metrics_path(options: Options) -> str:
    """Return the path of the metrics page; empty where the server has none. Raises Refused where the file cannot be used."""
    if not options.monitoring_config_file:
        return ""
    prometheus = _read(options.monitoring_config_file, messages.MonitoringConfig()).prometheus_config
    return (prometheus.path or METRICS_PATH) if prometheus.enable else ""


def _model(config: Any) -> ModelConfig:
    if not config.name:
        raise Refused("model_config_list: a config has no name")
    if config.model_platform != "tensorflow":
        raise Refused(f'model {config.name}: model_platform "{config.model_platform}": must be "tensorflow"')
    if config.HasField("logging_config"):
        raise Refused("No request-logger-creator provided.")
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    return ModelConfig(
        config.name,
        _base_path(config.base_path),
        specific=tuple(sorted(set(policy.specific.versions))) if choice == "specific" else None,
        latest=None if choice == "all" else max(policy.latest.num_versions, 1),
        labels=dict(config.version_labels),
    )


def _base_path(text: str) -> Path:
    if "://" in text:
        raise Refused(f"base_path {text}: this server reads directories only; tensorflow_model_server reads buckets")
    if not text.startswith("/"):
        raise Refused(f"Expected model {text} to have an absolute path or URI; got base_path()={text}")
    return Path(text)


def _read(path: str, message: Any) -> Any:
    from google.protobuf import text_format

    try:
        return text_format.Parse(Path(path).read_bytes(), message, descriptor_pool=messages.POOL)
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror})") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: Invalid protobuf file: {error}") from error
