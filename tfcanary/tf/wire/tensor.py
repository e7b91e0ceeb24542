"""Converts TensorProto messages to numpy arrays and back, without TensorFlow.

Recorded requests, the responses of a model server over gRPC and the requests of a warm-up file are read with it. A
message of a few bytes may declare a tensor of any size, so nothing is allocated before the declared size was compared
with a limit.
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
"""The default limit for the bytes of one array; a string counts as eight bytes."""

# By TensorFlow's data type: numpy's dtype, and the field that holds the values (tensorflow/core/framework/tensor.cc).
_TYPES: dict[str, tuple[str, str]] = {
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
    # numpy has no dtype of its own for the types from here on.
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
_NAMES_BY_NUMBER = {messages.DataType.Value(name): name for name in _TYPES}
_NAMES_BY_DTYPE = {np.dtype(dtype): name for name, (dtype, _) in reversed(_TYPES.items())}


def to_array(proto: Any, largest: int = LARGEST) -> NDArray[Any]:
    """Return a TensorProto as an array.

    bfloat16 and the 8 bit floats become float32, strings an object array of bytes. Raises Refused where the message
    contradicts itself, where its type holds no values (resources, variants), or where the array would be larger than
    `largest` bytes.
    """
    name, shape = _type_name(proto), _shape(proto.tensor_shape)
    dtype, field = np.dtype(_TYPES[name][0]), _TYPES[name][1]
    count = math.prod(shape)
    size = count * (4 if name in _AS_FLOAT32 else dtype.itemsize)
    if size > largest:
        raise Refused(f"a tensor of shape {list(shape)} and type {name}: {size} bytes; at most {largest} are read")
    if proto.tensor_content:
        values = _from_content(proto.tensor_content, dtype, count, name)
    else:
        values = _fill(_from_field(getattr(proto, field), dtype, name), count, name)
    return _as_float(values, name).reshape(shape)


def to_proto(array: NDArray[Any], typed: bool = False) -> Any:
    """Return an array as a TensorProto.

    The values of numbers are written to `tensor_content`, or, with `typed`, to the field of their type, as model servers
    do in their responses. Raises Refused for a dtype that TensorFlow does not have.
    """
    array = np.asarray(array)
    is_string = array.dtype.kind in "OSU"
    name = "DT_STRING" if is_string else _NAMES_BY_DTYPE.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise Refused(f"an array of {array.dtype}: no tensor of this type exists")
    proto = messages.TensorProto(dtype=messages.DataType.Value(name))
    proto.tensor_shape.dim.extend(messages.TensorShapeProto.Dim(size=size) for size in array.shape)
    if is_string:
        proto.string_val.extend(_as_bytes(value) for value in array.ravel().tolist())
    elif typed:
        getattr(proto, _TYPES[name][1]).extend(_for_field(array, name))
    else:
        proto.tensor_content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return proto


def _shape(proto: Any) -> tuple[int, ...]:
    """Return the shape in a TensorShapeProto; raises Refused where a size is unknown or the rank is above 32."""
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or any(size < 0 for size in shape):
        raise Refused(f"a tensor of shape {'unknown' if proto.unknown_rank else list(shape)}: its shape must be known in full")
    if len(shape) > 32:
        raise Refused(f"a tensor of rank {len(shape)}: at most 32 is read")
    return shape


def _type_name(proto: Any) -> str:
    if proto.dtype not in _NAMES_BY_NUMBER:
        is_type = proto.dtype in messages.DataType.values()
        raise Refused(f"a tensor of type {messages.DataType.Name(proto.dtype) if is_type else proto.dtype}: its values cannot be read")
    return _NAMES_BY_NUMBER[proto.dtype]


def _from_content(content: bytes, dtype: np.dtype[Any], count: int, name: str) -> NDArray[Any]:
    if name == "DT_STRING":
        return np.fromiter(_strings(content, count), object, count)
    if len(content) != count * dtype.itemsize:
        raise Refused(f"a tensor of {count} values of type {name}: its content has {len(content)} bytes, not {count * dtype.itemsize}")
    values: NDArray[Any] = np.frombuffer(content, np.uint8 if dtype.kind == "b" else dtype)
    return values != 0 if dtype.kind == "b" else values


def _strings(content: bytes, count: int) -> Iterator[bytes]:
    """Yield the strings in `tensor_content`, which holds the lengths of all of them as varints, then all strings."""
    lengths, at = [], 0
    for _ in range(count):
        length, shift = 0, 0
        while True:
            if at >= len(content) or shift > 28:
                raise Refused(f"a tensor of {count} strings: its content of {len(content)} bytes is cut off")
            octet = content[at]
            length, at, shift = length | (octet & 0x7F) << shift, at + 1, shift + 7
            if octet < 0x80:
                break
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise Refused(f"a tensor of {count} strings: its content has {len(content)} bytes, not {at + sum(lengths)}")
    for length in lengths:
        yield content[at : at + length]
        at += length


def _from_field(values: Any, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return the values of a field, which may be fewer than the tensor has (see `_fill`)."""
    if name == "DT_STRING":
        return np.fromiter(values, object, len(values))
    if isinstance(values, bytes):
        return np.frombuffer(values, np.uint8)
    if dtype.kind == "c":
        if len(values) % 2:
            raise Refused(f"a tensor of type {name}: {len(values)} numbers do not make pairs")
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
        raise Refused(f"a tensor of type {name}: {values[narrow != values][0]} does not fit into it")
    return narrow


def _fill(values: NDArray[Any], count: int, name: str) -> NDArray[Any]:
    """Return exactly `count` values, as TensorFlow does.

    The last value is repeated; where there is none, zero or the empty string is. Values beyond `count` are ignored.
    """
    if len(values) >= count:
        return values[:count]
    rest = values[-1] if len(values) else b"" if name == "DT_STRING" else np.zeros((), values.dtype)
    full = np.full(count, rest, values.dtype)
    full[: len(values)] = values
    return full


def _as_float(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return float32 values where numpy has no dtype for a float type, other values as they are."""
    if name == "DT_BFLOAT16":
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if name == "DT_FLOAT8_E5M2":
        values = (values.astype(np.uint16) << np.uint16(8)).view(np.float16).astype(np.float32)
    if name == "DT_FLOAT8_E4M3FN":
        values = _float8_e4m3fn()[values]
    return values


def _float8_e4m3fn() -> NDArray[np.float32]:
    """Return the values of all 256 bytes: sign, 4 bits of exponent with bias 7, 3 bits of fraction; no infinity, 0x7f is NaN."""
    octets = np.arange(256)
    exponent, fraction = (octets >> 3) & 15, octets & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7.0))
    size[(octets & 127) == 127] = np.nan
    return np.where(octets < 128, size, -size).astype(np.float32)


def _for_field(array: NDArray[Any], name: str) -> list[Any]:
    """Return the numbers that the field of this type holds: the bits of a half float, two numbers for a complex one."""
    flat = np.ascontiguousarray(array).ravel()
    if name == "DT_HALF":
        flat = flat.view(np.uint16)
    if array.dtype.kind == "c":
        flat = flat.view(f"f{array.dtype.itemsize // 2}")
    values: list[Any] = flat.tolist()
    return values


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise Refused(f"an array of objects: one is a {type(value).__name__}, neither text nor bytes")
