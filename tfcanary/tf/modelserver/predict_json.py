"""Reads the body of a REST predict request and writes that of its response, in row form (`instances`) or columnar form (`inputs`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcanary.tf.modelserver.request_body import RequestBody
from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.modelserver.tensors import dump, from_json, is_base64, json_text, rows_to_json, to_json
from tfcanary.tf.runtime import Signature, TensorSpec

Inputs = Mapping[str, TensorSpec]


def feeds(body: RequestBody, signature: Signature) -> dict[str, np.ndarray]:
    """Return the inputs by name; raises RequestError where the body is no predict request, or its inputs are not the signature's."""
    if not signature.inputs:
        raise invalid_argument(f"Failed to get input map for signature: {body.signature or 'DEFAULT'}")
    if not is_by_row(body):
        if "inputs" not in body.fields:
            raise invalid_argument("Missing 'inputs' or 'instances' key")
        return _columns(body.fields["inputs"], signature.inputs)
    if "inputs" in body.fields:
        raise body.error("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
    rows = body.fields["instances"]
    if not isinstance(rows, list):
        raise body.error("Excepting 'instances' to be an list/array")
    if not rows:
        raise body.error("No values in 'instances' array")
    return _rows(rows, signature.inputs)


def is_by_row(body: RequestBody) -> bool:
    """Tell whether the request is in row form, and its response has to be."""
    return "instances" in body.fields


def render(outputs: Mapping[str, np.ndarray], by_row: bool) -> bytes:
    """Return the body of a response; raises RequestError where outputs in row form have no rows, or different numbers of them.

    A single output stands without its name; several outputs stand in objects.
    """
    if by_row:
        return dump({"predictions": _output_rows(outputs)})
    return columnar("outputs", outputs)


def columnar(key: str, tensors: Mapping[str, np.ndarray]) -> bytes:
    """Return a body in columnar form; `key` is `outputs` for a response, `inputs` for a request."""
    values = {name: to_json(array, name.endswith("_bytes")) for name, array in sorted(tensors.items())}
    return dump({key: values if len(values) != 1 else next(iter(values.values()))})


def _columns(values: Any, inputs: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(values, dict) or is_base64(values):
        if len(inputs) > 1:
            problem = "but expecting an object as multiple input tensors required as per tensorinfo_map"
            raise invalid_argument(f"inputs is a plain value/list, {problem}")
        return {alias: from_json(values, spec.dtype) for alias, spec in inputs.items()}
    for alias in inputs:
        if alias not in values:
            raise invalid_argument(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: from_json(values[alias], spec.dtype) for alias, spec in inputs.items()}


def _rows(rows: list[Any], inputs: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(inputs) > 1:
        problem = "but expecting list of objects as multiple input tensors required as per tensorinfo_map"
        raise invalid_argument(f"instances is a plain list, {problem}")
    if not _has_names(rows[0]):
        return _plain_rows(rows, inputs)
    for number, row in enumerate(rows):
        _check_names(number, row, inputs)
    return {alias: _stack([row[alias] for row in rows], spec.dtype, f"key: {alias} of") for alias, spec in inputs.items()}


def _plain_rows(rows: list[Any], inputs: Inputs) -> dict[str, np.ndarray]:
    if len(inputs) > 1:  # the first row is {"b64": …}, where an object with all inputs is required
        _check_names(0, rows[0], inputs)
    for number, row in enumerate(rows):
        if _has_names(row):
            raise invalid_argument(f"Expecting value/list but got object at item {number} of input list")
    alias, spec = next(iter(inputs.items()))
    return {alias: _stack(rows, spec.dtype, "of")}


def _has_names(row: Any) -> bool:
    """Tell whether a row is an object whose keys are names of inputs."""
    return isinstance(row, dict) and not is_base64(row)


def _check_names(number: int, row: Any, inputs: Inputs) -> None:
    """Raise RequestError where row `number` does not have exactly the inputs of the signature."""
    if not _has_names(row):
        raise invalid_argument(f"Expecting object but got list at item {number} of input list")
    if row.keys() == inputs.keys():
        return
    for key in row:
        if key not in inputs:
            reason = f"INVALID_ARGUMENT: JSON object: does not have named input: {key}"
            raise invalid_argument(f"Failed to process element: {number} key: {key} of 'instances' list. Error: {reason}")
    keys = ",".join(sorted(inputs))
    raise invalid_argument(
        f"Failed to process element: {number} of 'instances' list. JSON object: {json_text(row)} keys must be equal to: {keys}"
    )


def _stack(values: list[Any], dtype: str, of: str) -> np.ndarray:
    """Return one input of all rows as an array; the error for values that do not fit together names the first wrong row."""
    try:
        return from_json(values, dtype)
    except RequestError as error:
        _raise_for_row(values, dtype, of)
        raise error


def _raise_for_row(values: list[Any], dtype: str, of: str) -> None:
    """Raise RequestError for the first row that cannot be converted, or whose shape is not that of the first row."""
    first: np.ndarray | None = None
    for number, value in enumerate(values):
        try:
            array = from_json(value, dtype)
        except RequestError as error:
            reason = f"{error.code}: {error}"
            raise invalid_argument(f"Failed to process element: {number} {of} 'instances' list. Error: {reason}") from error
        first = array if first is None else first
        if array.shape != first.shape:
            reason = _shape_difference(first, array)
            raise invalid_argument(f"Failed to process element: {number} {of} 'instances' list. Error: INVALID_ARGUMENT: {reason}")


def _shape_difference(first: np.ndarray, other: np.ndarray) -> str:
    if first.size != other.size:
        return f"Expecting tensor size: {first.size} but got: {other.size}"
    return f"Expecting shape {_shape(first)} but got: {_shape(other)}"


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _output_rows(outputs: Mapping[str, np.ndarray]) -> Any:
    size: int | None = None
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if size is not None and len(array) != size:
            raise invalid_argument(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    if len(outputs) == 1:
        [(name, array)] = outputs.items()
        return to_json(array, name.endswith("_bytes"))
    columns = {name: rows_to_json(array, name.endswith("_bytes")) for name, array in outputs.items()}
    return [{name: column[number] for name, column in columns.items()} for number in range(size or 0)]
