"""What a model takes and gives, read from its signatures without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfcanary.tf.wire import messages

DEFAULT = "serving_default"
"""The signature that answers where a request names none."""

_NUMPY = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a signature."""

    name: str
    """In the graph, for example `serving_default_x:0`; empty where the tensor is not a dense one."""
    dtype: str
    """As numpy says it: `float32`, `int64`, `bool`; `string` for bytes."""
    shape: tuple[int | None, ...] | None
    """None: any number of dimensions. A dimension of None: any size."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a model; the keys are the names that requests and responses use."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def signature_from(definition: Any) -> Signature:
    """Read a SignatureDef, TensorFlow's own message or that of `wire`."""
    return Signature(
        {alias: _spec(definition.inputs[alias]) for alias in sorted(definition.inputs)},
        {alias: _spec(definition.outputs[alias]) for alias in sorted(definition.outputs)},
    )


def dtype_name(number: int) -> str:
    """The word of numpy for a DataType; the part after `DT_` in lower case where numpy has none."""
    name = str(messages.DataType.Name(number))
    return _NUMPY.get(name, name.removeprefix("DT_").lower())


def _spec(info: Any) -> TensorSpec:
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(None if dim.size < 0 else int(dim.size) for dim in shape.dim)
    return TensorSpec(info.name, dtype_name(info.dtype), sizes)
