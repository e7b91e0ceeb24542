"""Recorded requests, in TF Serving's JSON form, as tensors."""

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
from tfcanary.look.savedmodel.samples import Sample, numpy_dtype
from tfcanary.look.savedmodel.tree import WARMUP
from tfcanary.tf.wire import messages, tensor, tfrecord

WARMUPS = 20
"""Warm-up requests that are asked: a server runs them all, but they are mostly alike."""


def given(request: Request, signature: SignatureFact) -> Sample:
    """A recorded request in TF Serving's JSON form (`instances` row by row, or `inputs` column by column). Raises Refused where it does not fit."""
    what = f"request {request.id}"
    body = request.body
    if "instances" in body:
        columns, rows = _columns(what, body["instances"], signature)
    elif "inputs" in body:
        value = body["inputs"]
        columns = dict(value) if isinstance(value, Mapping) and "b64" not in value else dict.fromkeys(signature.inputs, value)
        rows = None
    else:
        raise Refused(f"{what}: has neither `instances` nor `inputs`")
    known = {name: value for name, value in columns.items() if name in signature.inputs}
    if missing := sorted(signature.inputs.keys() - known.keys() - signature.defaults):
        raise Refused(f"{what}: lacks the input {missing[0]!r}")
    feeds = {name: _array(what, name, value, signature.inputs[name].dtype) for name, value in known.items()}
    return Sample(what, feeds, rows, given=True, label=request.label)


def warmups(model: Path, signature: str, facts: SignatureFact) -> Iterator[Sample]:
    """The requests for this signature that a server sends itself, as tensors. Raises Refused where one cannot be read."""
    path = model / WARMUP
    if not path.is_file():
        return
    for position, record in enumerate(islice(tfrecord.read(path), WARMUPS), 1):
        request = messages.PredictionLog.FromString(record).predict_log.request
        if request.inputs and (request.model_spec.signature_name or "serving_default") == signature:
            feeds = {name: tensor.to_array(request.inputs[name]) for name in request.inputs if name in facts.inputs}
            kept = {
                name: value.astype(numpy_dtype(facts.inputs[name].dtype, name)) if value.dtype != object else value
                for name, value in feeds.items()
            }
            yield Sample(f"warm-up request {position}", kept, None, given=True)


def _columns(what: str, instances: object, signature: SignatureFact) -> tuple[dict[str, object], int]:
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
