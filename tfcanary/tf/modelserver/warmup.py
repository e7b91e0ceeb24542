"""Requests that a version answers before it becomes available, so that no user pays for its first runs.

TF Serving's warm-up file: a TFRecord of PredictionLog beside the model. Any request that fails fails the load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from tfcanary.core.errors import Refused
from tfcanary.tf.runtime import DEFAULT, Failed
from tfcanary.tf.wire import messages, tensor, tfrecord

if TYPE_CHECKING:
    import numpy as np

FILE = Path("assets.extra", "tf_serving_warmup_requests")
MOST = 1000
"""Requests in one file."""

Run = Callable[[str, Mapping[str, "np.ndarray"], tuple[str, ...]], object]
"""Signature, inputs and wanted outputs."""


def warm_up(path: Path, run: Run) -> None:
    """Run the requests that lie beside the version in `path`, if any; raises Failed where one cannot be read or fails."""
    try:
        if not (path / FILE).exists():
            return
        for number, record in enumerate(tfrecord.read(path / FILE), 1):
            if number > MOST:
                raise Failed("INVALID_ARGUMENT", f"Number of warmup records exceeds the maximum ({MOST}): {path / FILE}")
            _run(record, run)
    except DecodeError as error:
        raise Failed("DATA_LOSS", f"{path / FILE}: Failed to parse warmup record") from error
    except Failed:
        raise
    except (Refused, OSError) as error:
        raise Failed("DATA_LOSS", str(error)) from error


def _run(record: bytes, run: Run) -> None:
    log = messages.PredictionLog.FromString(record)
    if log.WhichOneof("log_type") != "predict_log":
        raise Failed("UNIMPLEMENTED", f"Unsupported log_type for warmup: {log.WhichOneof('log_type')}")
    request = log.predict_log.request
    feeds = {alias: tensor.to_array(proto) for alias, proto in request.inputs.items()}
    run(request.model_spec.signature_name or DEFAULT, feeds, tuple(request.output_filter))
