"""The body of a REST predict request and its answer: the row form (`instances`) and the columnar form (`inputs`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from tfcanary.tf.modelserver.status import RequestError, invalid
from tfcanary.tf.modelserver.tensors import from_json, is_base64, shown, to_json
from tfcanary.tf.runtime import DEFAULT, Signature, TensorSpec

Inputs = Mapping[str, TensorSpec]


@dataclass(frozen=True, slots=True)
class PredictBody:
    """What a request asks, before the signature is known."""

    signature: str
    """Empty: the default one."""
    by_row: bool
    values: Any

    @property
    def signature_name(self) -> str:
        """The signature that is asked."""
        return self.signature or DEFAULT


def parse(body: bytes) -> PredictBody:
    """Read the body; raises RequestError, in TF Serving's words, where it is no predict request."""
    document = _document(body)
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid(f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value.")
    if "instances" in document and "inputs" in document:
        words = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise invalid(f"JSON Value: {shown(document)} {words}")
    if "inputs" in document:
        return PredictBody(signature, False, document["inputs"])
    if "instances" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {shown(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
    return PredictBody(signature, True, rows)


def feeds(body: PredictBody, signature: Signature) -> dict[str, np.ndarray]:
    """The inputs by name; raises RequestError where they are not those of the signature."""
    if not signature.inputs:
        raise invalid(f"Failed to get input map for signature: {body.signature or 'DEFAULT'}")
    return _rows(body.values, signature.inputs) if body.by_row else _columns(body.values, signature.inputs)


def render(outputs: Mapping[str, np.ndarray], by_row: bool) -> bytes:
    """The answer: one output stands without its name, several in objects; raises RequestError where they have no rows."""
    if by_row:
        return _dump({"predictions": _by_row(outputs)}, outputs)
    return columnar("outputs", outputs)


def columnar(key: str, tensors: Mapping[str, np.ndarray]) -> bytes:
    """A body in the columnar form: `outputs` of an answer, `inputs` of a request."""
    values = {name: to_json(array, name.endswith("_bytes")) for name, array in sorted(tensors.items())}
    return _dump({key: values if len(values) != 1 else next(iter(values.values()))}, tensors)


def _document(body: bytes) -> dict[str, Any]:
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = _tolerant(body)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def _tolerant(body: bytes) -> Any:
    """What the original's parser reads beyond JSON: NaN and infinities; bytes behind the document are ignored."""
    try:
        return json.JSONDecoder().raw_decode(body.decode("utf-8-sig").lstrip())[0]
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error


def _columns(values: Any, inputs: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(values, dict) or is_base64(values):
        if len(inputs) > 1:
            words = "but expecting an object as multiple input tensors required as per tensorinfo_map"
            raise invalid(f"inputs is a plain value/list, {words}")
        return {alias: from_json(values, spec.dtype) for alias, spec in inputs.items()}
    for alias in inputs:
        if alias not in values:
            raise invalid(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: from_json(values[alias], spec.dtype) for alias, spec in inputs.items()}


def _rows(rows: list[Any], inputs: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(inputs) > 1:
        words = "but expecting list of objects as multiple input tensors required as per tensorinfo_map"
        raise invalid(f"instances is a plain list, {words}")
    if not _is_named(rows[0]):
        return _plain_rows(rows, inputs)
    for number, row in enumerate(rows):
        _check_named(number, row, inputs)
    return {alias: _stacked([row[alias] for row in rows], spec.dtype, f"key: {alias} of") for alias, spec in inputs.items()}


def _plain_rows(rows: list[Any], inputs: Inputs) -> dict[str, np.ndarray]:
    if len(inputs) > 1:  # the first row is bytes, where an object of all inputs is due
        _check_named(0, rows[0], inputs)
    for number, row in enumerate(rows):
        if _is_named(row):
            raise invalid(f"Expecting value/list but got object at item {number} of input list")
    alias, spec = next(iter(inputs.items()))
    return {alias: _stacked(rows, spec.dtype, "of")}


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_base64(row)


def _check_named(number: int, row: Any, inputs: Inputs) -> None:
    if not _is_named(row):
        raise invalid(f"Expecting object but got list at item {number} of input list")
    if row.keys() == inputs.keys():
        return
    for key in row:
        if key not in inputs:
            reason = f"INVALID_ARGUMENT: JSON object: does not have named input: {key}"
            raise invalid(f"Failed to process element: {number} key: {key} of 'instances' list. Error: {reason}")
    keys = ",".join(sorted(inputs))
    raise invalid(f"Failed to process element: {number} of 'instances' list. JSON object: {shown(row)} keys must be equal to: {keys}")


def _stacked(values: list[Any], dtype: str, of: str) -> np.ndarray:
    """One input of all rows; where they do not fit together, the error names the first row that is to blame."""
    try:
        return from_json(values, dtype)
    except RequestError as error:
        _blame(values, lambda value: from_json(value, dtype), of)
        raise error


def _blame(values: list[Any], convert: Callable[[Any], np.ndarray], of: str) -> None:
    first: np.ndarray | None = None
    for number, value in enumerate(values):
        try:
            array = convert(value)
        except RequestError as error:
            reason = f"{error.code}: {error}"
            raise invalid(f"Failed to process element: {number} {of} 'instances' list. Error: {reason}") from error
        first = array if first is None else first
        if array.shape != first.shape:
            reason = _difference(first, array)
            raise invalid(f"Failed to process element: {number} {of} 'instances' list. Error: INVALID_ARGUMENT: {reason}")


def _difference(first: np.ndarray, other: np.ndarray) -> str:
    if first.size != other.size:
        return f"Expecting tensor size: {first.size} but got: {other.size}"
    return f"Expecting shape {_shape(first)} but got: {_shape(other)}"


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _by_row(outputs: Mapping[str, np.ndarray]) -> Any:
    size: int | None = None
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size is not None and len(array) != size:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    values = {name: to_json(array, name.endswith("_bytes")) for name, array in outputs.items()}
    if len(values) == 1:
        return next(iter(values.values()))
    return [{name: value[number] for name, value in values.items()} for number in range(size or 0)]


def _dump(answer: dict[str, Any], outputs: Mapping[str, np.ndarray]) -> bytes:
    """As JSON; NaN and infinities as bare words, as the original writes them (orjson would say null)."""
    if all(array.dtype.kind != "f" or np.isfinite(array).all() for array in outputs.values()):
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(answer, default=_nested).encode()


def _nested(array: Any) -> Any:
    """By way of text: the shortest number that is this float32, not all its digits as a double."""
    return np.asarray(array).astype("U32").astype(np.float64).tolist() if array.dtype.kind == "f" else array.tolist()
