"""Reads the inputs and outputs of a model from its signatures, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary.tf.wire import messages

DEFAULT = "serving_default"
"""The signature of a request that names none."""

_NUMPY = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a signature."""

    name: str
    """The tensor's name in the graph, for example `serving_default_x:0`; empty where the tensor is not a dense one."""
    dtype: str
    """The name of numpy's dtype (`float32`, `int64`, `bool`), or `string` for bytes."""
    shape: tuple[int | None, ...] | None
    """The size of each dimension, None for any size; None where the number of dimensions is unknown."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a model; the keys are the names in requests and responses."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def signature_from(definition: Any) -> Signature:
    """Return a SignatureDef message, TensorFlow's own or that of `wire.messages`, as a Signature."""
    return Signature(
        {alias: _spec(definition.inputs[alias]) for alias in sorted(definition.inputs)},
        {alias: _spec(definition.outputs[alias]) for alias in sorted(definition.outputs)},
    )


def _spec(info: Any) -> TensorSpec:
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)
    name = str(messages.DataType.Name(info.dtype))
    return TensorSpec(info.name, _NUMPY.get(name, name.removeprefix("DT_").lower()), sizes)
