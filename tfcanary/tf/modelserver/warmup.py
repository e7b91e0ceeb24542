"""Runs the warm-up requests of a version before it becomes available, so that no user waits for its slow first runs.

The warm-up file is TF Serving's: a TFRecord file of PredictionLog beside the model. A request that fails makes the load
fail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import inference
from tfcanary.tf.modelserver.inference import RunnableVersion
from tfcanary.tf.modelserver.status import RequestError
from tfcanary.tf.runtime import DEFAULT, TensorFlowError
from tfcanary.tf.wire import messages, tensor, tfrecord

FILE = Path("assets.extra", "tf_serving_warmup_requests")
"""The warm-up file, relative to the version's directory."""
MAX_RECORDS = 1000
"""The most requests in one file, as in TF Serving."""


def warm_up(path: Path, version: RunnableVersion, iterations: int = 1) -> int | None:
    """Run the requests in the warm-up file of the version in `path`, each `iterations` times, and return their number.

    None where there is no file. Raises TensorFlowError where a request cannot be read or fails.
    """
    file = path / FILE
    number = 0
    try:
        if not file.exists():
            return None
        for number, record in enumerate(tfrecord.read(file), 1):
            if number > MAX_RECORDS:
                raise TensorFlowError("INVALID_ARGUMENT", f"Number of warmup records exceeds the maximum ({MAX_RECORDS}): {file}")
            for _ in range(iterations):
                _run(messages.PredictionLog.FromString(record), version)
        return number
    except DecodeError as error:
        raise TensorFlowError("DATA_LOSS", f"{file}: Failed to parse warmup record") from error
    except TensorFlowError:
        raise
    except RequestError as error:
        raise TensorFlowError(error.code, str(error)) from error
    except (Refused, OSError) as error:
        raise TensorFlowError("DATA_LOSS", str(error)) from error


def _run(log: Any, version: RunnableVersion) -> None:
    """Run the request of a PredictionLog; raises TensorFlowError or RequestError where it fails."""
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request = log.predict_log.request
        feeds = {alias: tensor.to_array(proto) for alias, proto in request.inputs.items()}
        version.run(request.model_spec.signature_name or DEFAULT, feeds, tuple(request.output_filter), "Predict")
    elif kind == "classify_log":
        request = log.classify_log.request
        inference.classify(version, request.model_spec.signature_name or DEFAULT, request.input)
    elif kind == "regress_log":
        request = log.regress_log.request
        inference.regress(version, request.model_spec.signature_name or DEFAULT, request.input)
    elif kind == "multi_inference_log":
        inference.infer(version, log.multi_inference_log.request)
    else:
        raise TensorFlowError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {kind}")
