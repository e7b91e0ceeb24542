"""Converts the values in REST bodies to numpy arrays and back: nested JSON lists, numbers, text and base64.

The rules and the error messages are TF Serving's (util/json_tensor.cc): the nesting of the first elements gives the shape,
`1.0` is no integer, a string is text or {"b64": …}, and an error quotes the value and its type.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from tfcanary.tf.modelserver.status import RequestError, invalid_argument

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
"""The range of numbers in JSON for each type; the original does not check the small types' own range, and lets them wrap."""
_FLOATS = ("float32", "float64")
_READABLE = frozenset({*_INTEGERS, *_FLOATS, "bool", "string"})
_WRITABLE = frozenset(np.dtype(name) for name in _READABLE - {"string"})
_JSON_TYPES = {str: "String", bool: "True", int: "Number", float: "Number", dict: "Object", list: "Array", type(None): "Null"}
_TYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half"}
_SPACE = b" \t\n\v\f\r"
_MAX_VALUE_LENGTH = 1000
"""The most characters of a wrong value that an error message repeats."""


def from_json(value: Any, dtype: str) -> np.ndarray:
    """Return a nested list, or one value, as an array of `dtype`; raises RequestError where a value does not fit."""
    shape: list[int] = []
    level, first = [value], value
    while isinstance(first, list):
        size = len(first)
        for item in level:
            if not isinstance(item, list):
                raise _wrong_level_error(item, len(shape), value)
            if len(item) != size:
                raise invalid_argument(f"Encountered list at unexpected size: {len(item)} at level: {len(shape)} expected size: {size}")
        shape.append(size)
        level = list(chain.from_iterable(level))
        if not level:
            break
        first = level[0]
    if shape and list in set(map(type, level)):
        raise invalid_argument(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    try:
        return _flat_array(level, dtype).reshape(shape)
    except ValueError as error:  # numpy has at most 64 dimensions
        raise invalid_argument(str(error)) from error


def to_json(array: np.ndarray, as_bytes: bool = False) -> Any:
    """Return the array as a value that `dump` can write.

    NaN and the infinities become bare words, as the original writes them. Strings become text in nested lists, or {"b64": …} with `as_bytes`. Raises RequestError for a type that JSON cannot
    express.
    """
    if array.dtype == object:
        return _strings_to_json(array.tolist(), as_bytes)
    if array.dtype not in _WRITABLE:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {_type_name(array.dtype.name)}")
    value = np.ascontiguousarray(array) if array.ndim else array[()]
    return value if array.dtype.kind != "f" or np.isfinite(array).all() else _with_bare_words(array, value)


def rows_to_json(array: np.ndarray, as_bytes: bool = False) -> Sequence[Any]:
    """Return each row of an array as a value that `dump` can write; raises RequestError as `to_json` does."""
    value = to_json(array, as_bytes)
    return [to_json(np.asarray(row)) for row in array] if isinstance(value, orjson.Fragment) else value


def dump(value: Any) -> bytes:
    """Return a value as JSON; it may hold what `to_json` and `rows_to_json` return."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_text(value: Any) -> str:
    """Return a JSON value as text for an error message, indented as the original does, and cut where it is long."""
    text = ""
    try:
        for piece in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
            text += piece
            if len(text) > _MAX_VALUE_LENGTH:
                return f"{text[:_MAX_VALUE_LENGTH]}…"
    except RecursionError:  # the parser allows deeper nesting than the encoder
        return f"{text}…"
    return text


def json_type(value: Any) -> str:
    """Return the name that error messages give to the type of a JSON value."""
    return "False" if value is False else _JSON_TYPES[type(value)]


def is_base64(value: Any) -> bool:
    """Tell whether a JSON value is an object with the only key "b64", which stands for bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def to_bytes(value: str | Mapping[str, Any]) -> bytes:
    """Return a JSON string, or {"b64": …}, as bytes; raises RequestError where it cannot be decoded."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else _decode_base64(value)


def _flat_array(values: Sequence[Any], dtype: str) -> np.ndarray:
    types = set(map(type, values))
    if dtype in _FLOATS and types <= {float, int}:
        return _float_array(values, dtype)
    if dtype in _INTEGERS and types <= {int}:
        low, high = _INTEGERS[dtype]
        if not values or (min(values) >= low and max(values) <= high):
            return np.array(values, dtype="uint64" if high >= 2**63 else "int64").astype(dtype)
    if dtype == "bool" and types <= {bool}:
        return np.array(values, dtype=bool)
    if dtype == "string" and types <= {str, dict}:
        array = np.empty(len(values), dtype=object)
        array[:] = [to_bytes(value) for value in values]
        return array
    if dtype not in _READABLE:
        quote = json_text(values[0]) if values else "[]"
        raise RequestError("UNIMPLEMENTED", f"Conversion of JSON Value: {quote} to type: {_type_name(dtype)}")
    wrong = next(value for value in values if not _has_type(value, dtype))
    raise invalid_argument(f"JSON Value: {json_text(wrong)} Type: {json_type(wrong)} is not of expected type: {_type_name(dtype)}")


def _has_type(value: Any, dtype: str) -> bool:
    if dtype in _FLOATS:
        return type(value) in (int, float)
    if dtype in _INTEGERS:
        low, high = _INTEGERS[dtype]
        return type(value) is int and low <= value <= high
    return isinstance(value, bool) if dtype == "bool" else isinstance(value, str | dict)


def _float_array(values: Sequence[Any], dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float64).astype(dtype)


def _decode_base64(value: Mapping[str, Any]) -> bytes:
    """Decode {"b64": …} as the original's decoder does: with spaces and line breaks anywhere, and with or without padding.

    The padding is `=` or `.`. Raises RequestError where the value has another form or cannot be decoded.
    """
    if not is_base64(value):
        raise invalid_argument(f"JSON Value: {json_text(value)} not formatted correctly for base64 data")
    text = value["b64"].encode("utf-8", "surrogateescape").translate(None, _SPACE).replace(b".", b"=")
    data = text.rstrip(b"=")
    padding = -len(data) % 4
    try:
        if len(text) - len(data) not in (0, padding):
            raise binascii.Error("wrong padding")
        return b64decode(data + b"=" * padding, validate=True)
    except ValueError as error:
        raise invalid_argument("Unable to base64 decode") from error


def _wrong_level_error(item: Any, level: int, value: Any) -> RequestError:
    rank, first = 0, value
    while isinstance(first, list) and first:
        rank, first = rank + 1, first[0]
    return invalid_argument(
        f"JSON Value: {json_text(item)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {rank}"
    )


def _strings_to_json(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_strings_to_json(item, as_bytes) for item in value]
    return {"b64": b64encode(value).decode()} if as_bytes else value.decode("utf-8", "replace")


def _with_bare_words(array: np.ndarray, value: Any) -> orjson.Fragment:
    """Return the array as JSON with NaN and infinities, for which orjson writes `null`."""
    numbers = array[~np.isfinite(array)].tolist()
    words = [b"NaN" if number != number else b"Infinity" if number > 0 else b"-Infinity" for number in numbers]
    return orjson.Fragment(b"".join(chain.from_iterable(zip(dump(value).split(b"null"), [*words, b""], strict=True))))


def _type_name(dtype: str) -> str:
    return _TYPE_NAMES.get(dtype, dtype)
