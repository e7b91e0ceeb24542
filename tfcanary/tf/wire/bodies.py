"""Splits the JSON bodies of predict requests and their responses into rows with columns `input.<name>` and `output.<name>`.

Bodies of TF Serving's REST API and of the Open Inference Protocol (v2) are read, whoever recorded them: a model server's
log, KServe's agent, or a proxy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

INPUT, OUTPUT = "input.", "output."
UNNAMED = "value"
"""The name of an only input or output, whose own name TF Serving leaves out."""

Row = dict[str, Any]


def rows(request: str | bytes, response: str | bytes | None) -> list[Row]:
    """Return the rows of a request, each with its row of the response.

    The rows of a failed request, which has no response, hold inputs only. Raises ValueError where a body cannot be read,
    or where request and response have different numbers of rows.
    """
    inputs = list(_rows(_object(request), ("instances", "inputs"), INPUT))
    outputs = list(_rows(_object(response), ("predictions", "outputs"), OUTPUT)) if response is not None else []
    outputs = outputs or [{}] * len(inputs)
    if len(inputs) != len(outputs):
        raise ValueError(f"the request has {len(inputs)} rows, the response {len(outputs)}")
    return [{**one, **other} for one, other in zip(inputs, outputs, strict=True)]


def request_rows(body: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a parsed request body, with input names as keys; an empty list where it has no rows."""
    try:
        return list(_rows(body, ("instances", "inputs"), ""))
    except ValueError:
        return []


def columns(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Return the rows as columns by name; a value that a row lacks is None, as are the outputs of a failed request."""
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _object(text: str | bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(body, dict):
        raise ValueError(f"an object is expected, not {str(body)[:40]!r}")
    return body


def _rows(body: Mapping[str, Any], names: tuple[str, str], prefix: str) -> Iterator[Row]:
    """Yield the rows of a body in any form: a list of rows, a column for each name, or the v2 protocol's list of tensors."""
    by_row, by_column = names
    if isinstance(body.get(by_row), list):
        for row in body[by_row]:
            yield {prefix + name: value for name, value in row.items()} if isinstance(row, dict) else {prefix + UNNAMED: row}
        return
    if by_column not in body:
        return
    whole = body[by_column]
    if isinstance(whole, list) and whole and all(isinstance(one, dict) and {"name", "shape", "data"} <= one.keys() for one in whole):
        if unnamed := [one["name"] for one in whole if not isinstance(one["name"], str)]:
            raise ValueError(f"{by_column}: a name is a text, not {str(unnamed[0])[:40]!r}")
        whole = {one["name"]: _nest(one["data"], one["shape"]) for one in whole}
    tensors = whole if isinstance(whole, dict) else {UNNAMED: whole}
    if scalar := next((name for name, tensor in tensors.items() if not isinstance(tensor, list)), None):
        raise ValueError(f"{by_column}: {scalar!r} is no list, so it has no rows")
    for values in zip(*tensors.values(), strict=True):
        yield {prefix + name: value for name, value in zip(tensors, values, strict=True)}


def _nest(data: Any, shape: Any) -> Any:
    """Return the flat data of a v2 tensor as nested lists, and data that is nested already as it is.

    Raises ValueError where the shape is no list of sizes whose product is the number of values.
    """
    if not isinstance(data, list) or not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"a list of values and a shape of sizes are expected, not {str(data)[:40]!r} of shape {str(shape)[:40]!r}")
    if data and isinstance(data[0], list):
        return data
    if math.prod(shape) != len(data):
        raise ValueError(f"{len(data)} values have not the shape {shape}")
    return _nested(data, shape)


def _nested(data: list[Any], shape: list[int]) -> list[Any]:
    if len(shape) < 2 or not data:
        return data
    step = len(data) // shape[0]
    return [_nested(data[at : at + step], shape[1:]) for at in range(0, len(data), step)]
