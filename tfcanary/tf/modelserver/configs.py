"""Reads the server's configuration files: its models, its metrics page, the batches and the certificates of gRPC.

What the original refuses is refused with its code and its sentence, as a RequestError: the same config may come from a file
or in a request.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.wire import messages

METRICS_PATH = "/monitoring/prometheus/metrics"
"""The path of the metrics page where the MonitoringConfig names none."""
PLATFORM = "tensorflow"
"""The only platform that is served."""
_DEPRECATED = "ModelServerConfig::model_type (deprecated)"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model, and which of its versions are served."""

    name: str
    base_path: Path
    """The directory of the version directories."""
    specific: frozenset[int] | None = None
    """The versions to serve; None: the highest ones."""
    latest: int | None = 1
    """How many of the highest versions are served where `specific` is None; None: all versions."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """The version of each label that requests may use."""


def read_models(options: Options) -> tuple[ModelConfig, ...] | None:
    """Return the models that the flags name; None where the file is empty.

    Raises RequestError where a file or a flag cannot be used.
    """
    if options.model_config_file:
        return models(read_text(options.model_config_file, messages.ModelServerConfig()))
    if not options.model_base_path:
        raise invalid_argument("Both server_options.model_base_path and server_options.model_config_file are empty!")
    return (ModelConfig(options.model_name, _base_path(options.model_name, options.model_base_path)),)


def models(config: Any) -> tuple[ModelConfig, ...] | None:
    """Return the models of a ModelServerConfig; None where it has no list of models, not even an empty one.

    Raises RequestError where it cannot be used.
    """
    if config.WhichOneof("config") is None:
        return None
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid_argument("ModelServer does not yet support custom model config.")
    configs = tuple(_model(one) for one in config.model_config_list.config)
    for number, one in enumerate(configs):
        if one.name in {before.name for before in configs[:number]}:
            raise invalid_argument(f"Illegal to list model {one.name} multiple times in config list")
    return configs


def metrics_path(options: Options) -> str:
    """Return the path of the metrics page; empty where the server has none. Raises RequestError where the file cannot be used."""
    if not options.monitoring_config_file:
        return ""
    prometheus = read_text(options.monitoring_config_file, messages.MonitoringConfig()).prometheus_config
    return (prometheus.path or METRICS_PATH) if prometheus.enable else ""


def read_text(path: str, message: Any) -> Any:
    """Fill `message` from a file in protobuf's text format and return it.

    Raises RequestError where the file is missing or is none; where in the file is printed, as the original's parser does.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(Path(path).read_bytes(), message, descriptor_pool=messages.POOL)
    except OSError as error:
        code = "NOT_FOUND" if isinstance(error, FileNotFoundError) else "UNKNOWN"
        raise RequestError(code, f"{path}; {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        print(f"Error parsing text-format {message.DESCRIPTOR.full_name}: {error}", file=sys.stderr)
        raise invalid_argument(f"Invalid protobuf file: '{path}'") from error


def _model(config: Any) -> ModelConfig:
    if not config.name:
        raise invalid_argument("model_config_list: a config has no name")
    if (platform := _platform(config)) != PLATFORM:
        raise invalid_argument(f"Model {config.name} requests unsupported platform {platform}")
    if config.HasField("logging_config"):
        raise invalid_argument("No request-logger-creator provided.")
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    return ModelConfig(
        config.name,
        _base_path(config.name, config.base_path),
        specific=frozenset(policy.specific.versions) if choice == "specific" else None,
        latest=None if choice == "all" else max(policy.latest.num_versions, 1),
        labels=dict(config.version_labels),
    )


def _platform(config: Any) -> str:
    if not config.model_type:
        if not config.model_platform:
            raise invalid_argument(f"Illegal setting neither {_DEPRECATED} nor ModelServerConfig::model_platform.")
        return str(config.model_platform)
    print("Deprecated ModelServerConfig::model_type field used. Prefer ModelServerConfig::model_platform.", file=sys.stderr)
    if config.model_platform:
        raise invalid_argument(f"Illegal setting both {_DEPRECATED} and ModelServerConfig::model_platform.")
    if config.model_type != messages.ModelType.Value("TENSORFLOW"):
        raise invalid_argument(f"ModelServerConfig::model_type choice {config.model_type} not supported.")
    return PLATFORM


def _base_path(model: str, text: str) -> Path:
    if "://" in text:
        raise invalid_argument(f"base_path {text}: this server reads directories only; tensorflow_model_server reads buckets")
    if not text.startswith("/"):
        raise invalid_argument(f"Expected model {model} to have an absolute path or URI; got base_path()={text}")
    return Path(text)
