"""Turns Arrow columns into plain ones: numbers to be counted in cells, or texts to be counted by value.

A struct becomes one column for each field. A list becomes one column for each position or, where lists are long or of different lengths,
the mean and the deviation of each row: rows are what is counted, and the numbers of one row belong together.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.decide.drift.cells import CountArray, Values
from tfcanary.decide.drift.layout import ColumnKind

MOST_POSITIONS = 64
"""Largest length of lists that become one column for each position; longer ones, images for example, are compared as a whole."""
MOST_DEPTH = 16
"""Largest depth of nested columns."""
LONGEST = 256
"""Number of bytes of a text that are kept; a longer text is kept as its beginning and a checksum."""
MICROSECONDS = {"day": 86_400_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}


@dataclass(frozen=True, slots=True)
class PlainColumn:
    """One plain column of some rows."""

    name: str
    kind: ColumnKind
    type: str
    """Type of the values, for people, for example `double` or `text`; empty where all are null."""
    array: Any
    """An Arrow array with nulls."""
    positions: int = 0
    """Number of positions of a list that become columns, see `ColumnLayout`."""

    @property
    def nulls(self) -> int:
        """Number of rows without a value."""
        return int(self.array.null_count)


Positions = Callable[[str, Any], int]
"""Maps the name of a list and the lengths of its rows to the number of positions that become columns of their own."""


def flatten(name: str, array: Any, positions: Positions, depth: int = 0) -> Iterator[PlainColumn]:
    """Yield the plain columns that an Arrow array stands for. Raises Refused where it is nested deeper than MOST_DEPTH."""
    import pyarrow as pa
    from pyarrow import types

    if depth > MOST_DEPTH:
        raise Refused(f"column {name[:80]!r}: nested deeper than {MOST_DEPTH} levels")
    array = _without_views(array)
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        yield from flatten(name, array.storage, positions, depth + 1)
    elif types.is_struct(kind):
        for field, child in zip(kind, array.flatten(), strict=True):
            yield from flatten(f"{name}.{field.name}", child, positions, depth + 1)
    elif types.is_dictionary(kind) and (array.dictionary.null_count or not _is_text(kind.value_type)):
        yield from flatten(name, array.cast(kind.value_type), positions, depth + 1)
    elif _is_list(kind):
        yield from _list(name, array, positions, depth)
    else:
        plain = kind.value_type if types.is_dictionary(kind) else kind
        yield PlainColumn(name, _kind(plain), _type(plain), array)


def numbers(column: PlainColumn) -> Values:
    """Return the values of a column that is counted in cells, without nulls: floats, whole numbers, or microseconds: since 1970, since midnight, or of a duration."""
    import pyarrow as pa
    from pyarrow import types

    array = column.array.drop_null() if column.nulls else column.array
    kind = array.type
    if types.is_decimal(kind):
        array = array.cast(pa.float64())
    if types.is_temporal(kind):
        return _microseconds(
            array.view(pa.int32() if kind.bit_width == 32 else pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64), kind
        )
    values: Values = array.to_numpy(zero_copy_only=False)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def texts(column: PlainColumn) -> tuple[Any, CountArray]:
    """Return the values of a category that occur, as an Arrow array of bytes without nulls, and how often each does."""
    import pyarrow as pa

    array = _encode(column)
    counts = np.bincount(array.indices.to_numpy(zero_copy_only=False), minlength=len(array.dictionary))
    occur = np.flatnonzero(counts)
    return _shorten(_plain(array.dictionary.take(pa.array(occur)))), counts[occur].astype(np.int64)


def each_text(column: PlainColumn) -> tuple[Any, Any]:
    """Return the different values of a category as bytes, and for each row without null the index of its value."""
    array = _encode(column)
    return _shorten(_plain(array.dictionary)), array.indices.to_numpy(zero_copy_only=False)


def _encode(column: PlainColumn) -> Any:
    from pyarrow import types

    array = column.array.drop_null() if column.nulls else column.array
    return array if types.is_dictionary(array.type) else _plain(array).dictionary_encode()


def _without_views(array: Any) -> Any:
    """Return texts in a layout that can be filtered, which Arrow's newest layout cannot be yet."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_string_view(array.type):
        return array.cast(pa.large_string())
    return array.cast(pa.large_binary()) if types.is_binary_view(array.type) else array


def _plain(array: Any) -> Any:
    """Return texts of any width, and booleans, as bytes; they need not be UTF-8."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
    elif types.is_boolean(array.type):
        array = array.cast(pa.string())
    return array.cast(pa.large_binary())


def _shorten(values: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    if not len(values) or compute.max(compute.binary_length(values)).as_py() <= LONGEST:
        return values
    return pa.array(
        [v if len(v) <= LONGEST else b"%s... (%08x)" % (v[:LONGEST], zlib.crc32(v)) for v in values.to_pylist()], pa.large_binary()
    )


def _list(name: str, array: Any, positions: Positions, depth: int) -> Iterator[PlainColumn]:
    """Yield a list as its lengths, and its contents by position or as a whole."""
    import pyarrow as pa

    values, starts = _leaves(name, array, depth)
    present = np.asarray(array.is_valid())
    lengths = np.where(present, np.diff(starts), 0)
    size = positions(name, lengths[present])
    yield PlainColumn(name, ColumnKind.LENGTH, f"list of {_type(values.type)}", pa.array(lengths, mask=~present), size)
    for position in range(size):
        index = pa.array(starts[:-1] + position, mask=lengths <= position)
        yield from flatten(f"{name}[{position}]", values.take(index), positions, depth + 1)
    content = _kind(values.type)
    if size == 0 and content is ColumnKind.NUMBER:
        mean, deviation = _summary(values, starts[:-1], lengths)
        yield PlainColumn(f"{name}.mean", ColumnKind.NUMBER, "double", mean)
        yield PlainColumn(f"{name}.deviation", ColumnKind.NUMBER, "double", deviation)
    elif size == 0 and content is not ColumnKind.EMPTY:
        yield PlainColumn(f"{name}.values", ColumnKind.OTHER, f"list of {_type(values.type)}", array)


def _leaves(name: str, array: Any, depth: int) -> tuple[Any, Any]:
    """Return the innermost values of nested lists, and the index where each row's values begin; one more index than rows."""
    starts = np.arange(len(array) + 1)
    while _is_list(array.type):
        if depth > MOST_DEPTH:
            raise Refused(f"column {name[:80]!r}: nested deeper than {MOST_DEPTH} levels")
        array = _as_list(array)
        starts = np.asarray(array.offsets)[starts]
        array, depth = array.values, depth + 1
    return _without_views(array), starts.astype(np.int64)


def _as_list(array: Any) -> Any:
    import pyarrow as pa
    from pyarrow import types

    if types.is_list(array.type) or types.is_large_list(array.type):
        return array
    return array.cast(pa.large_list(array.type.value_type))


def _summary(values: Any, starts: Any, lengths: Any) -> tuple[Any, Any]:
    """Return mean and standard deviation of each row's numbers; null where a row has none."""
    import pyarrow as pa

    nonempty = lengths > 0
    sizes = lengths[nonempty]
    begins = np.cumsum(sizes) - sizes
    order = np.arange(sizes.sum()) + np.repeat(starts[nonempty] - begins, sizes)
    plain = values.to_numpy(zero_copy_only=False).astype(np.float64)[order]
    results = np.zeros((2, len(lengths)))
    if len(sizes):
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.add.reduceat(plain, begins) / sizes
            square = np.add.reduceat((plain - np.repeat(mean, sizes)) ** 2, begins) / sizes
        results[:, nonempty] = mean, np.sqrt(square)
    first, second = (pa.array(result, mask=~nonempty) for result in results)
    return first, second


def _microseconds(raw: Any, kind: Any) -> Values:
    """Return dates, instants, times of day and durations of any unit in microseconds; beyond 146,000 years all are alike."""
    from pyarrow import types

    unit = "day" if types.is_date32(kind) else "ms" if types.is_date64(kind) else kind.unit
    if unit == "ns":
        return np.asarray(raw // 1_000)
    factor = MICROSECONDS[unit]
    most = 2**62 // factor
    return np.asarray(np.clip(raw, -most, most) * factor)


def _kind(kind: Any) -> ColumnKind:
    from pyarrow import types

    if _is_text(kind) or types.is_boolean(kind):
        return ColumnKind.CATEGORY
    if types.is_timestamp(kind) or types.is_date(kind):
        return ColumnKind.TIME
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_time(kind) or types.is_duration(kind):
        return ColumnKind.NUMBER
    return ColumnKind.EMPTY if types.is_null(kind) else ColumnKind.OTHER


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary, types.is_binary_view)
    return any(test(kind) for test in tests) or types.is_fixed_size_binary(kind)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return any(
        test(kind) for test in (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    )


def _type(kind: Any) -> str:
    from pyarrow import types

    if types.is_null(kind):
        return ""
    return "text" if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) else str(kind)[:80]
