"""Checks the warm-up requests, which a server runs before it becomes available.

One request that fails makes the load fail, and a server repeats a failed load for minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from tfcanary.core.domain import Evidence
from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.compatible import accepts
from tfcanary.look.savedmodel.facts import SignatureFact, TensorFact, dtype_name
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning
from tfcanary.look.savedmodel.nodes import shape_of
from tfcanary.look.savedmodel.placement import UNFOLDED
from tfcanary.look.savedmodel.protobuf_walk import Unreadable, parse
from tfcanary.look.savedmodel.signature import METHODS
from tfcanary.look.savedmodel.tree import WARMUP
from tfcanary.look.savedmodel.variables import SIZES
from tfcanary.tf.wire import messages, tfrecord

RECORDS = 1000
"""Largest number of records that a server takes (tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc)."""
RECORD_BYTES = 2**22
"""Largest record in bytes that is checked."""
KINDS = ("predict_log", "classify_log", "regress_log", "multi_inference_log")
GZIP = b"\x1f\x8b"


def check_warmup(case: Case) -> Evidence:
    """Check that there are at most 1,000 records, each a request for a signature of the model that fits its inputs."""
    if WARMUP not in case.tree.sizes:
        return evidence("warmup", [], "no warm-up requests: the first requests to a new server will be slow")
    try:
        with (case.model / WARMUP).open("rb") as file:
            compressed = file.read(2) == GZIP
        problems = list(islice(_problems(case), 10))
    except (Refused, OSError) as error:
        return evidence("warmup", [failure(f"{WARMUP}: {quote(str(error), 200)}")], "")
    if compressed:
        problems = [failure(f"{WARMUP} is compressed, which servers cannot read")]
    return evidence("warmup", problems, "every warm-up request fits the model")


def _problems(case: Case) -> Iterator[Problem]:
    for number, record in enumerate(tfrecord.read(case.model / WARMUP), 1):
        if number > RECORDS:
            yield failure(f"more than {RECORDS:,} warm-up requests, more than a server takes")
            return
        if len(record) > RECORD_BYTES:
            yield warning(f"warm-up request {number} has {len(record):,} bytes, too many to be checked")
            continue
        try:
            fault = _fault(case.facts.signatures, parse(messages.PredictionLog, record))
        except Unreadable as error:
            fault = str(error)
        if fault:
            yield failure(f"warm-up request {number} {fault}: a server fails to load a model with this request")


def _fault(signatures: Mapping[str, SignatureFact], log: Any) -> str | None:
    """Why the model cannot answer a recorded request; None where it can."""
    kind = log.WhichOneof("log_type")
    if kind not in KINDS:
        return f"is a record of the type {kind}, which servers cannot run" if kind else "is an empty record"
    if kind == "multi_inference_log":
        return None
    request = getattr(log, kind).request
    name = request.model_spec.signature_name or "serving_default"
    if name not in signatures:
        return f"is for the signature {quote(name)}, which the model does not have"
    wanted = signatures[name]
    if kind != "predict_log":
        fits = METHODS.get(wanted.method) or "inputs" in wanted.inputs
        return None if fits else f"is for {kind.removesuffix('_log')}, which the signature {quote(name)} does not do"
    return _misfit(wanted, request.inputs)


def _misfit(signature: SignatureFact, inputs: Mapping[str, Any]) -> str | None:
    if missing := sorted(signature.inputs.keys() - inputs.keys() - signature.defaults):
        return f"lacks the input {quote(missing[0])}"
    if extra := sorted(inputs.keys() - signature.inputs.keys()):
        return f"has the input {quote(extra[0])}, which the signature does not have"
    for name in sorted(inputs):
        value = TensorFact(dtype_name(inputs[name].dtype), shape_of(inputs[name].tensor_shape), "")
        takes = signature.inputs[name]
        if value.dtype != takes.dtype or not accepts(takes.shape, value.shape):
            return f"gives {quote(name)} as {value}, the model takes {takes}"
        declared = math.prod(size or 0 for size in value.shape or ()) * SIZES.get(value.dtype, 1)
        if declared > UNFOLDED and declared > inputs[name].ByteSize() * 2:
            return f"gives {quote(name)} as {value} in {inputs[name].ByteSize():,} bytes of values, which become {declared:,} in memory"
    return None
