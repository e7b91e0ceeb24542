"""Makes the PredictionLog of a request that succeeded, for the request log."""

from __future__ import annotations

import time
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import messages, tensor


def message(model: str, signature: str, version: int, **logs: Any) -> Any:
    """Return a PredictionLog; `logs` is its one log, for example `classify_log`, with the request and the response.

    Its metadata name the model, the version that served the request, the signature that was run, and the time.
    """
    spec = {"name": model, "signature_name": signature, "version": {"value": version}}
    return messages.PredictionLog(log_metadata={"model_spec": spec, "timestamp_secs": round(time.time())}, **logs)


def predict_message(model: str, signature: str, version: int, feeds: Any, outputs: Any) -> Any | None:
    """Return the PredictionLog of a predict request over REST; None where a tensor has no message."""
    spec = {"name": model, "signature_name": signature}
    try:
        request = messages.PredictRequest(model_spec=spec, inputs={name: tensor.to_proto(array) for name, array in feeds.items()})
        response = messages.PredictResponse(outputs={name: tensor.to_proto(array) for name, array in outputs.items()})
    except Refused:
        return None
    return message(model, signature, version, predict_log={"request": request, "response": response})
