"""The class of each answered row, read from whole columns: what the mix of classes is counted from."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcanary.look.evaluate.answers import Kind, Numbers, Reading
from tfcanary.tf.wire.bodies import OUTPUT


def answered(outputs: Any) -> Any:
    """The rows with any output at all."""
    if not outputs.num_columns:
        return outputs.slice(0, 0)
    given = [np.asarray(outputs.column(name).is_valid()) for name in outputs.schema.names if name.startswith(OUTPUT)]
    some = np.any(given, axis=0) if given else np.zeros(outputs.num_rows, bool)
    return outputs if some.all() else outputs.filter(some)


def said(answers: Any, read: Reading) -> tuple[list[str | None], bool]:
    """The class of each row, null where it has none; and whether single scores lie between 0 and 1."""
    name = OUTPUT + read.output
    if name not in answers.schema.names:
        return [None] * answers.num_rows, True
    column = answers.column(name)
    table = None if read.kind is Kind.LABELS else _table(column)
    if table is None:
        return [_class(read.of({read.output: value})) for value in column.to_pylist()], read.kind is not Kind.SCORES
    finite = np.all(np.isfinite(table), axis=1)
    if read.kind is Kind.CLASSES:
        return [_class(best) if known else None for best, known in zip(table.argmax(axis=1).tolist(), finite.tolist(), strict=True)], True
    above = (table[:, 0] > 0.5).tolist()
    said = [("above 0.5" if high else "up to 0.5") if known else None for high, known in zip(above, finite.tolist(), strict=True)]
    return said, bool(((table >= 0) & (table <= 1))[finite].all())


def _table(column: Any) -> Numbers | None:
    """An output as a table of numbers, null as NaN; None where rows differ in length or hold something else."""
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


def _class(said: object) -> str | None:
    if isinstance(said, tuple):
        return "classes " + ", ".join(map(str, said))
    return f"class {said}" if isinstance(said, int) else None if said is None else str(said)
