"""Runs the warm-up requests of a version before it becomes available, so that no user waits for its slow first runs.

The warm-up file is TF Serving's: a TFRecord file of PredictionLog beside the model. A request that fails makes the load
fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from tfcanary.core.errors import Refused
from tfcanary.tf.runtime import DEFAULT, TensorFlowError
from tfcanary.tf.wire import messages, tensor, tfrecord

if TYPE_CHECKING:
    import numpy as np

FILE = Path("assets.extra", "tf_serving_warmup_requests")
"""The warm-up file, relative to the version's directory."""
MAX_RECORDS = 1000
"""The most requests in one file, as in TF Serving."""

Run = Callable[[str, Mapping[str, "np.ndarray"], tuple[str, ...]], object]
"""A function that runs a request: its arguments are the signature, the inputs, and the names of the outputs."""


def warm_up(path: Path, run: Run) -> None:
    """Run the requests in the warm-up file of the version in `path`, if it has one.

    Raises TensorFlowError where a request cannot be read or fails.
    """
    file = path / FILE
    try:
        if not file.exists():
            return
        for number, record in enumerate(tfrecord.read(file), 1):
            if number > MAX_RECORDS:
                raise TensorFlowError("INVALID_ARGUMENT", f"Number of warmup records exceeds the maximum ({MAX_RECORDS}): {file}")
            _run(record, run)
    except DecodeError as error:
        raise TensorFlowError("DATA_LOSS", f"{file}: Failed to parse warmup record") from error
    except TensorFlowError:
        raise
    except (Refused, OSError) as error:
        raise TensorFlowError("DATA_LOSS", str(error)) from error


def _run(record: bytes, run: Run) -> None:
    log = messages.PredictionLog.FromString(record)
    if log.WhichOneof("log_type") != "predict_log":
        raise TensorFlowError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {log.WhichOneof('log_type')}")
    request = log.predict_log.request
    feeds = {alias: tensor.to_array(proto) for alias, proto in request.inputs.items()}
    run(request.model_spec.signature_name or DEFAULT, feeds, tuple(request.output_filter))
