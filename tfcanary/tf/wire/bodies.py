"""Bodies of predict requests and answers as rows: `input.<name>` and `output.<name>`, in TF Serving's JSON and in the v2 protocol's.

Whoever kept them (a server's log, KServe's agent, a proxy) kept the same bodies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

INPUT, OUTPUT = "input.", "output."
UNNAMED = "value"
"""What an input or output is called whose name TF Serving leaves out, because it is the only one."""

Row = dict[str, Any]


def rows(request: str | bytes, answer: str | bytes | None) -> list[Row]:
    """A request's rows, each with its answer; without one (it failed) there are inputs only. Raises ValueError where they do not fit."""
    asked = list(_rows(_object(request), ("instances", "inputs"), INPUT))
    given = list(_rows(_object(answer), ("predictions", "outputs"), OUTPUT)) if answer is not None else []
    given = given or [{}] * len(asked)
    if len(asked) != len(given):
        raise ValueError(f"{len(asked)} rows asked, {len(given)} answered")
    return [{**one, **other} for one, other in zip(asked, given, strict=True)]


def asked(body: Mapping[str, Any]) -> list[Row]:
    """The rows of a request that is parsed already, without a prefix; none where they cannot be told apart."""
    try:
        return list(_rows(body, ("instances", "inputs"), ""))
    except (ValueError, TypeError):
        return []


def columns(found: Iterable[Row]) -> dict[str, list[Any]]:
    """Missing values are null: a failed request has no outputs."""
    found = list(found)
    names = dict.fromkeys(name for row in found for name in row)
    return {name: [row.get(name) for row in found] for name in names}


def _object(text: str | bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(body, dict):
        raise ValueError(f"an object is expected, not {str(body)[:40]!r}")
    return body


def _rows(body: Mapping[str, Any], names: tuple[str, str], prefix: str) -> Iterator[Row]:
    """All forms: a list of rows, a column for each name, or the v2 protocol's list of tensors."""
    by_row, by_column = names
    if isinstance(body.get(by_row), list):
        for row in body[by_row]:
            yield {prefix + name: value for name, value in row.items()} if isinstance(row, dict) else {prefix + UNNAMED: row}
        return
    if by_column not in body:
        return
    whole = body[by_column]
    if isinstance(whole, list) and whole and all(isinstance(one, dict) and {"name", "shape", "data"} <= one.keys() for one in whole):
        whole = {one["name"]: _unfolded(one["data"], one["shape"]) for one in whole}
    found = whole if isinstance(whole, dict) else {UNNAMED: whole}
    for values in zip(*found.values(), strict=True):
        yield {prefix + name: value for name, value in zip(found, values, strict=True)}


def _unfolded(data: Any, shape: list[int]) -> Any:
    """A flat tensor of the v2 protocol as nested lists; one that is nested already as it is."""
    if len(shape) < 2 or not data or isinstance(data[0], list):
        return data
    step = len(data) // shape[0]
    return [_unfolded(data[at : at + step], shape[1:]) for at in range(0, len(data), step)]
