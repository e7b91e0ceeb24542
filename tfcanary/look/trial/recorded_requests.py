"""Turns recorded requests, in TF Serving's JSON form or in a warm-up file, into tensors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.domain import Request
from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel import SignatureFact
from tfcanary.look.savedmodel.samples import TensorRequest, numpy_dtype
from tfcanary.look.savedmodel.tree import WARMUP
from tfcanary.tf.wire import messages, tensor, tfrecord

WARMUPS = 20
"""Largest number of warm-up requests that the trial sends; a server runs all of them, but they are mostly alike."""


def to_tensors(request: Request, signature: SignatureFact) -> TensorRequest:
    """Turn a request in TF Serving's JSON form into tensors.

    The form is `instances`, row by row, or `inputs`, column by column. Raises Refused where the request does not fit the
    signature.
    """
    what = f"request {request.id}"
    body = request.body
    if "instances" in body:
        columns, rows = _columns_of_rows(what, body["instances"], signature)
    elif "inputs" in body:
        value = body["inputs"]
        columns = dict(value) if isinstance(value, Mapping) and "b64" not in value else dict.fromkeys(signature.inputs, value)
        rows = None
    else:
        raise Refused(f"{what}: has neither `instances` nor `inputs`")
    inputs = {name: value for name, value in columns.items() if name in signature.inputs}
    if missing := sorted(signature.inputs.keys() - inputs.keys() - signature.defaults):
        raise Refused(f"{what}: lacks the input {missing[0]!r}")
    feeds = {name: _array(what, name, value, signature.inputs[name].dtype) for name, value in inputs.items()}
    return TensorRequest(what, feeds, rows, recorded=True, label=request.label)


def warmup_requests(model: Path, signature: str, facts: SignatureFact) -> Iterator[TensorRequest]:
    """The first warm-up requests for this signature, as tensors. Raises Refused or DecodeError where one cannot be read."""
    path = model / WARMUP
    if not path.is_file():
        return
    for position, record in enumerate(islice(tfrecord.read(path), WARMUPS), 1):
        request = messages.PredictionLog.FromString(record).predict_log.request
        if request.inputs and (request.model_spec.signature_name or "serving_default") == signature:
            values = {name: tensor.to_array(request.inputs[name]) for name in request.inputs if name in facts.inputs}
            feeds = {
                name: value.astype(numpy_dtype(facts.inputs[name].dtype, name)) if value.dtype != object else value
                for name, value in values.items()
            }
            yield TensorRequest(f"warm-up request {position}", feeds, None, recorded=True)


def _columns_of_rows(what: str, instances: object, signature: SignatureFact) -> tuple[dict[str, object], int]:
    """The columns of `instances` by the name of the input, and the number of rows."""
    if not isinstance(instances, Sequence) or isinstance(instances, str | bytes) or not instances:
        raise Refused(f"{what}: `instances` must be a list with at least one row")
    if all(isinstance(row, Mapping) and "b64" not in row for row in instances):
        return {name: [row.get(name) for row in instances] for name in instances[0]}, len(instances)
    return dict.fromkeys(signature.inputs, instances), len(instances)


def _array(what: str, name: str, value: object, dtype: str) -> NDArray[Any]:
    try:
        if dtype == "string":
            return np.array(_texts(value), object)
        return np.array(value, numpy_dtype(dtype, name))
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise Refused(f"{what}: input {name!r} does not fit its type {dtype} ({error})") from error


def _texts(value: object) -> object:
    if isinstance(value, Mapping) and set(value) == {"b64"}:
        return base64.b64decode(str(value["b64"]), validate=True)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, Sequence):
        return [_texts(one) for one in value]
    raise ValueError(f"{value!r} is no text")
