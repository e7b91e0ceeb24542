"""Whether the requests that a server sends itself before it becomes available are ones that it can answer.

One failing record fails the load, and a server tries a failed load again for minutes.
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
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown, warns
from tfcanary.look.savedmodel.nodes import shape_of
from tfcanary.look.savedmodel.placement import UNFOLDED
from tfcanary.look.savedmodel.protobuf_walk import Unreadable, parse
from tfcanary.look.savedmodel.signature import METHODS
from tfcanary.look.savedmodel.tree import WARMUP
from tfcanary.look.savedmodel.variables import SIZES
from tfcanary.tf.wire import messages, tfrecord

RECORDS = 1000
"""A server refuses more (tensorflow_serving/servables/tensorflow/saved_model_warmup_util.cc)."""
RECORD_BYTES = 2**22
"""A larger record is not looked into."""
KINDS = ("predict_log", "classify_log", "regress_log", "multi_inference_log")
GZIP = b"\x1f\x8b"


def check_warmup(case: Case) -> Evidence:
    """At most 1,000 records, each a request for a signature of the model, with its inputs."""
    if WARMUP not in case.tree.sizes:
        return evidence("warmup", [], "no warm-up requests: the first users' requests will be slow, unless somebody sends others before")
    try:
        with (case.model / WARMUP).open("rb") as file:
            compressed = file.read(2) == GZIP
        found = list(islice(_problems(case), 10))
    except (Refused, OSError) as error:
        return evidence("warmup", [fails(f"{WARMUP}: {shown(str(error), 200)}")], "")
    problems = [fails(f"{WARMUP} is compressed, which servers do not read")] if compressed else found
    return evidence("warmup", problems, "every warm-up request fits the model")


def _problems(case: Case) -> Iterator[Problem]:
    for number, record in enumerate(tfrecord.read(case.model / WARMUP), 1):
        if number > RECORDS:
            yield fails(f"more than {RECORDS:,} warm-up requests, which no server takes")
            return
        if len(record) > RECORD_BYTES:
            yield warns(f"warm-up request {number} has {len(record):,} bytes and was not looked into")
            continue
        try:
            wrong = _wrong(case.facts.signatures, parse(messages.PredictionLog, record))
        except Unreadable as error:
            wrong = str(error)
        if wrong:
            yield fails(f"warm-up request {number} {wrong}: a server fails to load the model for it")


def _wrong(signatures: Mapping[str, SignatureFact], log: Any) -> str | None:
    kind = log.WhichOneof("log_type")
    if kind not in KINDS:
        return f"is a {kind or 'nothing'}, which servers do not send themselves"
    if kind == "multi_inference_log":
        return None
    request = getattr(log, kind).request
    name = request.model_spec.signature_name or "serving_default"
    if name not in signatures:
        return f"asks for the signature {shown(name)}, which the model does not have"
    wanted = signatures[name]
    if kind != "predict_log":
        return None if METHODS.get(wanted.method) or "inputs" in wanted.inputs else f"asks {shown(name)} for what it does not do"
    return _misfit(wanted, request.inputs)


def _misfit(signature: SignatureFact, inputs: Mapping[str, Any]) -> str | None:
    if missing := sorted(signature.inputs.keys() - inputs.keys() - signature.defaults):
        return f"lacks the input {shown(missing[0])}"
    if extra := sorted(inputs.keys() - signature.inputs.keys()):
        return f"has the input {shown(extra[0])}, which the signature does not"
    for name in sorted(inputs):
        given = TensorFact(dtype_name(inputs[name].dtype), shape_of(inputs[name].tensor_shape), "")
        takes = signature.inputs[name]
        if given.dtype != takes.dtype or not accepts(takes.shape, given.shape):
            return f"gives {shown(name)} as {given}, the model takes {takes}"
        declared = math.prod(size or 0 for size in given.shape or ()) * SIZES.get(given.dtype, 1)
        if declared > UNFOLDED and declared > inputs[name].ByteSize() * 2:
            return f"gives {shown(name)} as {given} in {inputs[name].ByteSize():,} bytes of values, which unfold to {declared:,}"
    return None
