"""TensorProto to numpy and back, without TensorFlow.

Used for recorded requests, for the answers of a model server over gRPC, and for constants inside a SavedModel. A proto of
a few bytes may declare a tensor of any size: nothing is allocated before its declared size was compared with a limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import messages

LARGEST = 256 << 20
"""Bytes of a tensor once unfolded; a text counts as eight."""

# TensorFlow's kind to numpy's, and the field of its values (tensorflow/core/framework/tensor.cc).
_KINDS: dict[str, tuple[str, str]] = {
    "DT_FLOAT": ("<f4", "float_val"),
    "DT_DOUBLE": ("<f8", "double_val"),
    "DT_HALF": ("<f2", "half_val"),
    "DT_INT8": ("<i1", "int_val"),
    "DT_INT16": ("<i2", "int_val"),
    "DT_INT32": ("<i4", "int_val"),
    "DT_INT64": ("<i8", "int64_val"),
    "DT_UINT8": ("<u1", "int_val"),
    "DT_UINT16": ("<u2", "int_val"),
    "DT_UINT32": ("<u4", "uint32_val"),
    "DT_UINT64": ("<u8", "uint64_val"),
    "DT_BOOL": ("?", "bool_val"),
    "DT_COMPLEX64": ("<c8", "scomplex_val"),
    "DT_COMPLEX128": ("<c16", "dcomplex_val"),
    "DT_STRING": ("O", "string_val"),
    # From here on numpy has no kind of its own.
    "DT_QINT8": ("<i1", "int_val"),
    "DT_QINT16": ("<i2", "int_val"),
    "DT_QINT32": ("<i4", "int_val"),
    "DT_QUINT8": ("<u1", "int_val"),
    "DT_QUINT16": ("<u2", "int_val"),
    "DT_BFLOAT16": ("<u2", "half_val"),
    "DT_FLOAT8_E5M2": ("<u1", "float8_val"),
    "DT_FLOAT8_E4M3FN": ("<u1", "float8_val"),
}
_AS_FLOAT32 = ("DT_BFLOAT16", "DT_FLOAT8_E5M2", "DT_FLOAT8_E4M3FN")
_CODES = {messages.DataType.Value(name): name for name in _KINDS}
_NAMES = {np.dtype(kind): name for name, (kind, _) in reversed(_KINDS.items())}


def to_array(proto: Any, largest: int = LARGEST) -> NDArray[Any]:
    """The tensor as an array; bfloat16 and the 8 bit floats as float32, texts as an object array of bytes.

    Raises Refused where the proto contradicts itself, its kind holds no values (resources, variants), or it would be
    larger than `largest` bytes.
    """
    name, shape = _kind(proto), shape_of(proto.tensor_shape)
    dtype, field = np.dtype(_KINDS[name][0]), _KINDS[name][1]
    count = math.prod(shape)
    size = count * (4 if name in _AS_FLOAT32 else dtype.itemsize)
    if size > largest:
        raise Refused(f"a tensor of shape {list(shape)} and kind {name}: {size} bytes; at most {largest} are read")
    if proto.tensor_content:
        values = _from_content(proto.tensor_content, dtype, count, name)
    else:
        values = _unfolded(_from_field(getattr(proto, field), dtype, name), count, name)
    return _as_float(values, name).reshape(shape)


def to_proto(array: NDArray[Any], typed: bool = False) -> Any:
    """The array as a TensorProto; `typed` fills the field of its kind, as model servers answer, not `tensor_content`.

    Raises Refused for a dtype that TensorFlow does not have.
    """
    array = np.asarray(array)
    texts = array.dtype.kind in "OSU"
    name = "DT_STRING" if texts else _NAMES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise Refused(f"an array of {array.dtype}: no tensor of this kind exists")
    proto = messages.TensorProto(dtype=messages.DataType.Value(name))
    proto.tensor_shape.dim.extend(messages.TensorShapeProto.Dim(size=size) for size in array.shape)
    if texts:
        proto.string_val.extend(_octets(text) for text in array.ravel().tolist())
    elif typed:
        getattr(proto, _KINDS[name][1]).extend(_for_field(array, name))
    else:
        proto.tensor_content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return proto


def shape_of(proto: Any) -> tuple[int, ...]:
    """A shape that is known in full, from a TensorShapeProto; raises Refused where it is not."""
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or any(size < 0 for size in shape):
        raise Refused(f"a tensor of shape {'unknown' if proto.unknown_rank else list(shape)}: its shape must be known in full")
    if len(shape) > 32:
        raise Refused(f"a tensor of rank {len(shape)}: at most 32 is read")
    return shape


def _kind(proto: Any) -> str:
    if proto.dtype not in _CODES:
        known = proto.dtype in messages.DataType.values()
        raise Refused(f"a tensor of kind {messages.DataType.Name(proto.dtype) if known else proto.dtype}: its values cannot be read")
    return _CODES[proto.dtype]


def _from_content(content: bytes, dtype: np.dtype[Any], count: int, name: str) -> NDArray[Any]:
    if name == "DT_STRING":
        return np.fromiter(_texts(content, count), object, count)
    if len(content) != count * dtype.itemsize:
        raise Refused(f"a tensor of {count} values of kind {name}: its content has {len(content)} bytes, not {count * dtype.itemsize}")
    values: NDArray[Any] = np.frombuffer(content, np.uint8 if dtype.kind == "b" else dtype)
    return values != 0 if dtype.kind == "b" else values


def _texts(content: bytes, count: int) -> Iterator[bytes]:
    """Texts in `tensor_content`: all lengths as varints, then all texts."""
    lengths, at = [], 0
    for _ in range(count):
        length, shift = 0, 0
        while True:
            if at >= len(content) or shift > 28:
                raise Refused(f"a tensor of {count} texts: its content of {len(content)} bytes is cut off")
            octet = content[at]
            length, at, shift = length | (octet & 0x7F) << shift, at + 1, shift + 7
            if octet < 0x80:
                break
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise Refused(f"a tensor of {count} texts: its content has {len(content)} bytes, not {at + sum(lengths)}")
    for length in lengths:
        yield content[at : at + length]
        at += length


def _from_field(values: Any, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """The values that are written out, before the last one is repeated."""
    if name == "DT_STRING":
        return np.fromiter(values, object, len(values))
    if isinstance(values, bytes):
        return np.frombuffer(values, np.uint8)
    if dtype.kind == "c":
        if len(values) % 2:
            raise Refused(f"a tensor of kind {name}: {len(values)} numbers do not make pairs")
        pairs: NDArray[Any] = np.array(values, f"<f{dtype.itemsize // 2}").view(dtype)
        return pairs
    if name in ("DT_HALF", "DT_BFLOAT16"):
        return _narrow(np.array(values, np.int64), np.dtype("<u2"), name).view(dtype)
    if dtype.kind in "iu":
        return _narrow(np.array(values, np.uint64 if name == "DT_UINT64" else np.int64), dtype, name)
    return np.array(values, dtype)


def _narrow(values: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    narrow = values.astype(dtype)
    if (narrow != values).any():
        raise Refused(f"a tensor of kind {name}: {values[narrow != values][0]} does not fit into it")
    return narrow


def _unfolded(values: NDArray[Any], count: int, name: str) -> NDArray[Any]:
    """The last value stands for all that are not written; none at all is zero; too many are cut, as TensorFlow does."""
    if len(values) >= count:
        return values[:count]
    rest = values[-1] if len(values) else b"" if name == "DT_STRING" else np.zeros((), values.dtype)
    unfolded = np.full(count, rest, values.dtype)
    unfolded[: len(values)] = values
    return unfolded


def _as_float(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Kinds that numpy does not have, as float32."""
    if name == "DT_BFLOAT16":
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if name == "DT_FLOAT8_E5M2":
        values = (values.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float32)
    if name == "DT_FLOAT8_E4M3FN":
        values = _float8_e4m3fn()[values]
    return values


def _float8_e4m3fn() -> NDArray[np.float32]:
    """All 256 values: sign, 4 bits of exponent with bias 7, 3 bits of fraction; no infinity, 0x7f is NaN."""
    octets = np.arange(256)
    exponent, fraction = (octets >> 3) & 15, octets & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7.0))
    size[(octets & 127) == 127] = np.nan
    return np.where(octets < 128, size, -size).astype(np.float32)


def _for_field(array: NDArray[Any], name: str) -> list[Any]:
    flat = np.ascontiguousarray(array).ravel()
    if name == "DT_HALF":
        flat = flat.view(np.uint16)
    if array.dtype.kind == "c":
        flat = flat.view(f"f{array.dtype.itemsize // 2}")
    values: list[Any] = flat.tolist()
    return values


def _octets(text: Any) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    raise Refused(f"an array of objects: one is a {type(text).__name__}, neither text nor bytes")
