"""Reads CSV files as spreadsheets, databases and pandas write them.

Every value is read as text, and a column gets the type that all of its values have, in all files of the data set: what a column holds
must not depend on where a block or a file ends. Therefore a file is read twice.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.file_format import beginning
from tfcanary.look.evaluate.sources.piece import Format, Piece, Selection
from tfcanary.look.evaluate.sources.tables import BLOCK, explain_errors, select, wanted_columns

SEPARATORS = ",;\t|"
"""The first is taken where several divide the header equally."""
BEGINNING = 1 << 18
"""Number of characters at the beginning of a file that hold its header and some rows."""
ROWS_FOR_BLANKS = 20
NULLS = ("NA", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan", "-NaN", "-nan")
"""What stands for a missing value in columns that hold no text; in a column of text it is a text."""
TYPES = ("int64", "double", "comma", "bool", "us", "ns", "us, UTC", "ns, UTC", "clock")
"""The types of a column, in the order in which they are preferred. `comma` is a number with a decimal comma; the rest are instants with
their unit and zone, and a time of day. A column that has none of them, or several digits behind a leading zero, is text."""
TEXT = "text"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written."""

    names: tuple[str, ...]
    """The names of the columns. A column without a name is called by its place, such as `(column 1)`."""
    separator: str
    encoding: str
    marked: int
    """Number of lines before the header: 1 where a line such as `sep=;` names the separator, as spreadsheets write it, else 0."""


def dialect(path: Path) -> Dialect:
    """Return how a file is written, by its beginning. Raises Refused where its columns cannot be told from each other."""
    return _dialect(path, *_start(path))


def _dialect(path: Path, encoding: str, start: str) -> Dialect:
    first, _, rest = start.partition("\n")
    first = first.rstrip("\r")
    marked = first.lower().startswith("sep=")
    lines = (rest if marked else start).splitlines(keepends=True)
    separator = (first[4:5] or "\t") if marked else _separator(path, lines)
    with explain_errors(str(path), Format.CSV):
        names = next(csv.reader(lines, delimiter=separator), [])
    if len(names) == 1:
        _refuse_blanks(path, lines[:ROWS_FOR_BLANKS])
    return Dialect(tuple(name or f"(column {place})" for place, name in enumerate(names, 1)), separator, encoding, int(marked))


def first_row(path: Path) -> Mapping[str, str]:
    """Return the first row of a file by the names of its columns; empty where there is none."""
    encoding, start = _start(path)
    how = _dialect(path, encoding, start)
    with explain_errors(str(path), Format.CSV):
        rows = (row for row in csv.reader(start.splitlines(keepends=True)[how.marked :], delimiter=how.separator) if row)
        row = next(islice(rows, 1, None), [])
    return dict(zip(how.names, row, strict=False))


def typed(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Return the pieces, those of CSV with the types of their columns: of each the first that all values in all files have.

    Raises Refused where a file cannot be read as CSV.
    """
    pieces = tuple(pieces)
    possible: dict[str, list[str]] = {}
    for piece in pieces:
        if piece.format is Format.CSV and not piece.types:
            for batch in _texts(piece):
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    possible[name] = _fitting(column, possible.get(name, list(TYPES)))
    types = tuple((name, (*fitting, TEXT)[0]) for name, fitting in possible.items())
    return tuple(replace(piece, types=piece.types or types) if piece.format is Format.CSV else piece for piece in pieces)


def read(piece: Piece, chosen: Selection) -> Iterator[tuple[Any, str]]:
    """Read a file whose first line has the names and each other line a row."""
    types = dict(piece.types or typed([piece])[0].types)
    for batch in _texts(piece):
        wanted = batch.select(wanted_columns(batch.schema.names, chosen, piece))
        for place, name in enumerate(wanted.schema.names):
            wanted = wanted.set_column(place, name, _converted(wanted.column(name), types[name]))
        yield select(wanted, chosen, piece.name), piece.name


def _texts(piece: Piece) -> Iterator[Any]:
    """Yield the rows as batches of text, which need not be UTF-8; an empty field is null."""
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    how = dialect(piece.path)
    wanted_columns(list(how.names), Selection(), piece)
    reading = pa_csv.ReadOptions(
        block_size=BLOCK, column_names=how.names, skip_rows=how.marked, skip_rows_after_names=1, encoding=how.encoding
    )
    parsing = pa_csv.ParseOptions(delimiter=how.separator, newlines_in_values=True)
    text = dict.fromkeys(how.names, pa.binary())
    converting = pa_csv.ConvertOptions(column_types=text, null_values=[""], strings_can_be_null=True)
    with explain_errors(piece.name, Format.CSV):
        try:
            reader = pa_csv.open_csv(str(piece.path), reading, parsing, converting)
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return
            raise
        with reader:
            yield from reader


def _fitting(column: Any, types: list[str]) -> list[str]:
    """Return those of the types that all values of a column have."""
    import pyarrow as pa

    try:
        values = _values(column).drop_null() if types else []
    except pa.ArrowInvalid:  # no UTF-8
        return []
    if not len(values):
        return types
    return [] if _has_leading_zeros(values) else [kind for kind in types if _fits(values, kind)]


def _fits(values: Any, kind: str) -> bool:
    import pyarrow as pa

    try:
        _cast(values, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _has_leading_zeros(values: Any) -> bool:
    """Whether a value such as `01321` is among them: a name that consists of digits, for which 1321 is another one."""
    from pyarrow import compute

    begins = values.filter(compute.starts_with(values, "0"))
    return bool(compute.any(compute.match_substring_regex(begins, r"^0\d+$")).as_py())


def _converted(column: Any, kind: str) -> Any:
    import pyarrow as pa

    if kind != TEXT:
        return _cast(_values(column), kind)
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return column


def _values(column: Any) -> Any:
    """Return a column that holds no text: without blanks, and null where a word says so."""
    import pyarrow as pa
    from pyarrow import compute

    trimmed = compute.utf8_trim_whitespace(column.cast(pa.string()))
    return compute.if_else(compute.is_in(trimmed, _null_words()), pa.scalar(None, pa.string()), trimmed)


@cache
def _null_words() -> Any:
    import pyarrow as pa

    return pa.array(NULLS, pa.string())


def _cast(values: Any, kind: str) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    if kind == "comma":
        return compute.replace_substring(values, ",", ".", max_replacements=1).cast(pa.float64())
    if kind == "clock":
        return compute.binary_join_element_wise("1970-01-01", values, " ").cast(pa.timestamp("us")).cast(pa.time64("us"))
    unit, _, zone = kind.partition(", ")
    return values.cast(pa.timestamp(unit, zone or None) if unit in ("us", "ns") else pa.type_for_alias(kind))


def _start(path: Path) -> tuple[str, str]:
    """Return the encoding of a file and its beginning, unpacked and without a byte order mark.

    Raises Refused where its lines end as on very old computers, which pyarrow does not read.
    """
    start = beginning(path, 4 * BEGINNING)
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = start.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")[:BEGINNING]
    if "\r" in text.partition("\n")[0].rstrip("\r"):
        raise Refused(f"{path}: its lines end in a carriage return alone; write a line feed at the end of each line")
    return encoding, text


def _separator(path: Path, lines: list[str]) -> str:
    """Return the separator that divides the header into most columns."""
    if ".tsv" in path.name.lower():
        return "\t"
    return max(SEPARATORS, key=lambda separator: len(next(csv.reader(lines, delimiter=separator), [])))


def _refuse_blanks(path: Path, lines: list[str]) -> None:
    """Refuse a file whose columns seem to be divided by blanks: nothing else divides it, and each line has as many of them."""
    blanks = {line.strip().count(" ") for line in lines}
    if len(lines) > 1 and len(blanks) == 1 and blanks != {0}:
        raise Refused(f"{path}: its columns seem to be divided by blanks; write commas, semicolons, tabs or | between them")
