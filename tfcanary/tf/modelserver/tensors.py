"""Tensors of REST requests and answers: nested JSON lists to numpy arrays and back.

The rules and words are TF Serving's (util/json_tensor.cc): the shape is that of the first elements, `1.0` is no
integer, strings are text or {"b64": …}, and what an element may not be is said with its value and type.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from tfcanary.tf.modelserver.status import RequestError, invalid

_INT32 = (-(2**31), 2**31 - 1)
_INTEGERS = {
    "int8": _INT32,
    "uint8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
"""What JSON may hold for each type; the original does not look at the range of the small ones, and lets them wrap."""
_FLOATS = ("float32", "float64")
_READABLE = frozenset({*_INTEGERS, *_FLOATS, "bool", "string"})
_WRITABLE = frozenset(np.dtype(name) for name in _READABLE - {"string"})
_TYPES = {str: "String", bool: "True", int: "Number", float: "Number", dict: "Object", list: "Array", type(None): "Null"}
_WORDS = {"float32": "float", "float64": "double", "float16": "half"}
_LONGEST_VALUE = 1000
"""Characters of a wrong value that an error repeats."""


def from_json(value: Any, dtype: str) -> np.ndarray:
    """A nested list, or one value, as an array of `dtype`; raises RequestError with what does not fit."""
    shape: list[int] = []
    level, first = [value], value
    while isinstance(first, list):
        size = len(first)
        for item in level:
            if not isinstance(item, list):
                raise _at_wrong_level(item, len(shape), value)
            if len(item) != size:
                raise invalid(f"Encountered list at unexpected size: {len(item)} at level: {len(shape)} expected size: {size}")
        shape.append(size)
        level = list(chain.from_iterable(level))
        if not level:
            break
        first = level[0]
    if shape and list in set(map(type, level)):
        raise invalid(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    try:
        return _leaves(level, dtype).reshape(shape)
    except ValueError as error:  # numpy has at most 64 dimensions
        raise invalid(str(error)) from error


def to_json(array: np.ndarray, as_bytes: bool = False) -> Any:
    """The array as orjson writes it; text, or {"b64": …} for bytes, in nested lists.

    Raises RequestError for a type that JSON has no word for.
    """
    if array.dtype == object:
        return _texts(array.tolist(), as_bytes)
    if array.dtype not in _WRITABLE:
        raise invalid(f"Failed to write JSON value for tensor type: {_word(array.dtype.name)}")
    return np.ascontiguousarray(array) if array.ndim else array[()]


def shown(value: Any) -> str:
    """A JSON value in an error, as the original prints it; cut where it is long."""
    text = ""
    try:
        for piece in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
            text += piece
            if len(text) > _LONGEST_VALUE:
                return f"{text[:_LONGEST_VALUE]}…"
    except RecursionError:  # the parser allows deeper nesting than the printer
        return f"{text}…"
    return text


def is_base64(value: Any) -> bool:
    """Whether a value is the one object that stands for bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _leaves(values: Sequence[Any], dtype: str) -> np.ndarray:
    types = set(map(type, values))
    if dtype in _FLOATS and types <= {float, int}:
        return _as_floats(values, dtype)
    if dtype in _INTEGERS and types <= {int}:
        low, high = _INTEGERS[dtype]
        if not values or (min(values) >= low and max(values) <= high):
            return np.array(values, dtype="uint64" if high >= 2**63 else "int64").astype(dtype)
    if dtype == "bool" and types <= {bool}:
        return np.array(values, dtype=bool)
    if dtype == "string" and types <= {str, dict}:
        return _strings(values)
    if dtype not in _READABLE:
        raise RequestError("UNIMPLEMENTED", f"Conversion of JSON Value: {shown(values[0]) if values else '[]'} to type: {_word(dtype)}")
    wrong = next(value for value in values if not _is(value, dtype))
    type_name = "False" if wrong is False else _TYPES[type(wrong)]
    raise invalid(f"JSON Value: {shown(wrong)} Type: {type_name} is not of expected type: {_word(dtype)}")


def _is(value: Any, dtype: str) -> bool:
    if dtype in _FLOATS:
        return type(value) in (int, float)
    if dtype in _INTEGERS:
        low, high = _INTEGERS[dtype]
        return type(value) is int and low <= value <= high
    return isinstance(value, bool) if dtype == "bool" else isinstance(value, str | dict)


def _as_floats(values: Sequence[Any], dtype: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            return np.array(values, dtype=np.float64).astype(dtype)
    except OverflowError as error:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from error


def _strings(values: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _decoded(value) for value in values]
    return array


def _decoded(value: Mapping[str, Any]) -> bytes:
    if not is_base64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    try:
        return b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _at_wrong_level(item: Any, level: int, value: Any) -> RequestError:
    rank, first = 0, value
    while isinstance(first, list) and first:
        rank, first = rank + 1, first[0]
    return invalid(f"JSON Value: {shown(item)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {rank}")


def _texts(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_texts(item, as_bytes) for item in value]
    return {"b64": b64encode(value).decode()} if as_bytes else value.decode("utf-8", "replace")


def _word(dtype: str) -> str:
    return _WORDS.get(dtype, dtype)
