"""Reads the class of each answered row from whole columns of a batch, so that the mix of classes can be counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcanary.look.evaluate.answers import Kind, Numbers, Reading
from tfcanary.tf.wire.bodies import OUTPUT


def answered_rows(outputs: Any) -> Any:
    """The rows of a record batch of outputs in which at least one output is not null."""
    if not outputs.num_columns:
        return outputs.slice(0, 0)
    valid = [np.asarray(outputs.column(name).is_valid()) for name in outputs.schema.names if name.startswith(OUTPUT)]
    some = np.any(valid, axis=0) if valid else np.zeros(outputs.num_rows, bool)
    return outputs if some.all() else outputs.filter(some)


def read_classes(answers: Any, reading: Reading) -> tuple[list[str | None], bool]:
    """The class of each row, None where it has none; and whether the scores, where a score tells the class, are between 0 and 1."""
    name = OUTPUT + reading.output
    if name not in answers.schema.names:
        return [None] * answers.num_rows, True
    column = answers.column(name)
    table = None if reading.kind is Kind.LABELS else _table(column)
    if table is None:
        return [_class(reading.of({reading.output: value})) for value in column.to_pylist()], reading.kind is not Kind.SCORES
    finite = np.all(np.isfinite(table), axis=1)
    if reading.kind is Kind.CLASSES:
        best = table.argmax(axis=1).tolist()
        return [_class(number) if valid else None for number, valid in zip(best, finite.tolist(), strict=True)], True
    above = (table[:, 0] > 0.5).tolist()
    classes = [("above 0.5" if high else "up to 0.5") if valid else None for high, valid in zip(above, finite.tolist(), strict=True)]
    return classes, bool(((table >= 0) & (table <= 1))[finite].all())


def _table(column: Any) -> Numbers | None:
    """An output as a table of numbers with null as NaN; None where the rows differ in length or hold anything else."""
    import pyarrow as pa
    from pyarrow import compute

    width = 1
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        lengths = compute.list_value_length(column)
        width = lengths[0].as_py()
        if lengths.null_count or not width or compute.any(compute.not_equal(lengths, width)).as_py():
            return None
        column = column.flatten()
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return None
    table: Numbers = column.to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, width)
    return table


def _class(value: object) -> str | None:
    if isinstance(value, tuple):
        return "classes " + ", ".join(map(str, value))
    return f"class {value}" if isinstance(value, int) else None if value is None else str(value)
