"""Makes Arrow record batches of the rows of requests.

Clients write what they like: a request whose columns do not fit with those of the others is left out and counted, and never hides them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tfcanary.tf.wire import bodies

LARGEST_INTEGER = 2**63
"""Integers from here on have no type in Arrow."""
EXACT = 2**53
"""Floats represent every integer up to this one."""
EMPTY, NO_TYPE, TEXT = "nothing", "?", "text"
"""Names of types: of the elements of an empty list, of what Arrow has no type for, and of text."""

ID = "id"
"""The column of the request's id."""

Rows = list[bodies.Row]
"""The rows of one request."""


def with_id(rows: Rows, own_id: str | None) -> Rows:
    """The rows with the id of their request; a request of several rows has none, since no label could be joined to one of them."""
    return [{ID: own_id or None if len(rows) == 1 else None, **row} for row in rows]


def batch_of(requests: list[Rows]) -> tuple[Any, int]:
    """One Arrow record batch, and the number of requests in it: all of them, or those whose columns have the usual types.

    A request without an answer is left out where it has an input that no answered request has: a server refused it.
    """
    import pyarrow as pa

    requests = _without_refused(requests)
    try:
        return _batch(requests), len(requests)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):  # values of one column differ in type, or Arrow has none for them
        fitting = _fitting(requests)
        return _batch([[_without_large_integers(row) for row in rows] for rows in fitting]), len(fitting)


def _batch(requests: list[Rows]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pydict(bodies.columns(row for rows in requests for row in rows))


def _without_refused(requests: list[Rows]) -> list[Rows]:
    """The requests without those that only a server has seen that refused them: they have an input that no answered request has."""
    answered = {name for rows in requests for row in rows if _is_answered(row) for name in row}
    return [rows for rows in requests if not answered or all(row.keys() <= answered or _is_answered(row) for row in rows)]


def _is_answered(row: bodies.Row) -> bool:
    return any(name.startswith(bodies.OUTPUT) for name in row)


def _fitting(requests: list[Rows]) -> list[Rows]:
    """The requests whose columns all have the type that most rows have there."""
    counts: dict[str, Counter[str]] = {}
    for rows in requests:
        for row in rows:
            for name, value in row.items():
                if value is not None and not (type_name := _type(value)).endswith(EMPTY):
                    counts.setdefault(name, Counter())[type_name] += 1
    usual = {name: types.most_common(1)[0][0] for name, types in counts.items()}
    return [rows for rows in requests if all(_fits(name, value, usual.get(name, "")) for row in rows for name, value in row.items())]


def _fits(name: str, value: Any, usual: str) -> bool:
    if _type(name) != TEXT or NO_TYPE in usual:
        return False
    type_name = TEXT if value is None else _type(value)
    # An empty list fits with every list.
    return value is None or type_name == usual or (type_name.endswith(EMPTY) and usual.startswith(type_name.removesuffix(EMPTY)))


def _type(value: Any) -> str:
    """The name of the type that Arrow gives a value; NO_TYPE is in it where Arrow has none, EMPTY where a list tells none."""
    if isinstance(value, list):
        types = {_type(one) for one in value if one is not None}
        known = {one for one in types if not one.endswith(EMPTY)} or types
        return f"list of {known.pop() if len(known) == 1 else NO_TYPE if known else EMPTY}"
    if isinstance(value, dict):
        return f"object of {', '.join(f'{name}: {_type(one)}' for name, one in sorted(value.items()))}"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "number" if -LARGEST_INTEGER <= value < LARGEST_INTEGER else NO_TYPE
    if isinstance(value, str):
        return TEXT if value == value.encode("utf-8", "replace").decode() else NO_TYPE
    return "number" if isinstance(value, float) else NO_TYPE


def _without_large_integers(row: bodies.Row) -> bodies.Row:
    """The row with integers that no float represents as floats: Arrow takes no column of both."""
    return {name: _round(value) for name, value in row.items()}


def _round(value: Any) -> Any:
    if isinstance(value, list):
        return [_round(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT else value
