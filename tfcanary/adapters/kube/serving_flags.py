"""The flags and the configuration files that a model server is started with, as pure values.

The flags are typed, for the server only prints a remark about one that it does not know, and runs on without it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.core.domain import ModelVersion
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ServingPlan

FOLDER = "/etc/tfserving"
"""The folder at which a pool's ConfigMap is mounted."""
PULLED = "/models"
"""The folder at which a pod's own copy of a version is mounted, where the server itself cannot read the bucket."""
MODELS, MONITORING, BATCHING = "models.config", "monitoring.config", "batching.config"
METRICS_PATH = "/monitoring/prometheus/metrics"
HASH_LENGTH = 10
"""Hexadecimal digits of a hash: enough to tell the few contents apart that one version ever has."""
CPU = re.compile(r"(\d+|\d*\.\d+)(m?)")

Files = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of `tensorflow_model_server`, by its own names. A version is looked for and loaded once, at start, and never again."""

    port: int = object_names.GRPC
    rest_api_port: int = object_names.REST
    model_config_file: str = f"{FOLDER}/{MODELS}"
    monitoring_config_file: str = f"{FOLDER}/{MONITORING}"
    file_system_poll_wait_seconds: int = 0
    """0: the bucket is read once. By default it is listed every second, for money, and a version whose directory is removed is unloaded under load."""
    max_num_load_retries: int = 1
    """By default a bad model is tried for five minutes before anybody is told."""
    load_retry_interval_micros: int = 1_000_000
    enable_profiler: bool = False
    """The profiler is on by default, and open to whoever reaches the port."""
    tensorflow_intra_op_parallelism: int = 1
    tensorflow_inter_op_parallelism: int = 1
    rest_api_num_threads: int = 4
    """Four threads for each CPU, as by default, but of the pod's CPUs and not of the node's."""
    enable_batching: bool | None = None
    batching_parameters_file: str | None = None

    def arguments(self) -> list[str]:
        """The flags as the server reads them; None is left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return [
            f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in values.items() if value is not None
        ]


def flags(serving: ServingPlan) -> Flags:
    """The flags for a plan. TensorFlow sees the node's CPUs and not the pod's, so its threads are set here."""
    threads = cpus(serving.cpu)
    return Flags(
        tensorflow_intra_op_parallelism=threads,
        tensorflow_inter_op_parallelism=threads,
        rest_api_num_threads=4 * threads,
        enable_batching=True if serving.batching else None,
        batching_parameters_file=f"{FOLDER}/{BATCHING}" if serving.batching else None,
    )


def cpus(quantity: str) -> int:
    """A quantity of CPUs in whole CPUs, rounded up. Raises Refused for a text that Kubernetes would not take."""
    found = CPU.fullmatch(quantity)
    number = float(found[1]) / (1000 if found[2] else 1) if found else 0.0
    if number <= 0:
        raise Refused(f"serving.cpu {quantity!r}: must be CPUs as Kubernetes writes them, for example 2, 0.5 or 500m")
    return math.ceil(number)


def files(model: str, version: ModelVersion, serving: ServingPlan) -> Files:
    """The files of a version's ConfigMap, by name. Raises Refused where the name of the version's directory is not its number."""
    written = {
        MODELS: f"""\
model_config_list {{
  config {{
    name: {quote(model)}
    base_path: {quote(_base(version))}
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {version.number} }} }}
  }}
}}
""",
        MONITORING: f"prometheus_config {{ enable: true path: {quote(METRICS_PATH)} }}\n",
    }
    return {**written, BATCHING: serving.batching} if serving.batching else written


def is_pulled(uri: str) -> bool:
    """Whether a version must be copied into each server's pod: TensorFlow Serving reads no S3."""
    return uri.startswith("s3://")


def short_hash(content: Mapping[str, Any]) -> str:
    """A short hash of an object, by which one content is told from another."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:HASH_LENGTH]


def quote(text: str) -> str:
    """A text as a string of protobuf's text format: every byte that is not plain ASCII is written as a number."""
    plain = (chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03o}" for byte in text.encode())
    return '"' + "".join(plain) + '"'


def _base(version: ModelVersion) -> str:
    base, _, last = version.uri.rstrip("/").rpartition("/")
    if last != str(version.number) or not base.startswith(("/", "gs://", "s3://")):
        raise Refused(f"version uri {version.uri!r}: must be a gs:// or s3:// URI or an absolute path, and end in /{version.number}")
    return PULLED if is_pulled(base) else base
