"""Lists the files of a data set, finds their formats, and reads their pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import KNOWN, Format, Piece, Selection

MOST_FILES = 100_000
HIDDEN = (".", "_")
"""First characters of the names of files that hold no rows, such as `_SUCCESS` and `.crc`."""


def pieces(path: Path) -> tuple[Piece, ...]:
    """The pieces of a file, or of all files below a folder in the order of their names.

    Raises Refused where there is no file, or where a file cannot be read or has an unknown format.
    """
    files = sorted(_below(path)) if path.is_dir() else [path]
    if not files:
        raise Refused(f"{path}: no files; {KNOWN}")
    if len(files) > MOST_FILES:
        raise Refused(f"{path}: more than {MOST_FILES} files; point to a part of them")
    try:
        all_pieces = [piece for file in files for piece in _pieces_of(file)]
    except OSError as error:
        raise Refused(f"{error.filename or path}: cannot be read ({error.strerror})") from error
    logged = [piece for piece in all_pieces if piece.format is Format.LOGGED]
    others = tuple(piece for piece in all_pieces if piece.format is not Format.LOGGED)
    if not logged:
        return others
    # The files of a logger are one piece, as a request and its answer may be in different files.
    more = tuple(piece.path for piece in logged[1:])
    return *others, Piece(logged[0].path, Format.LOGGED, sum(piece.size for piece in logged), more=more)


def read(piece: Piece, chosen: Selection, drop: Callable[[int], None]) -> Iterator[tuple[Any, str]]:
    """Read a piece as Arrow record batches, each with its place for error messages.

    `drop` is called with the number of rows that could not be read. Raises Refused where the piece cannot be read.
    """
    from tfcanary.look.evaluate.sources import csv_files, json_lists, request_logs, tables, tfrecord_files

    readers: dict[Format, Callable[[Piece, Selection], Iterator[tuple[Any, str]]]] = {
        Format.PARQUET: tables.parquet,
        Format.ARROW: tables.arrow,
        Format.STREAM: tables.arrow,
        Format.CSV: csv_files.read,
        Format.LINES: tables.lines,
        Format.LIST: json_lists.read,
        Format.EXAMPLES: tfrecord_files.examples,
        Format.PREDICTIONS: tfrecord_files.predictions,
    }
    if piece.format is Format.LOGGED:
        yield from request_logs.read(piece, chosen, drop)
    else:
        yield from readers[piece.format](piece, chosen)


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(HIDDEN) for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            yield path


def _pieces_of(path: Path) -> Iterator[Piece]:
    from tfcanary.look.evaluate.sources import csv_files, request_logs, tables
    from tfcanary.look.evaluate.sources.file_format import format_of

    form, size = format_of(path), path.stat().st_size
    if form is Format.PARQUET:
        if not request_logs.is_request_log(tables.first_row(path)):
            yield from tables.row_groups(path)
            return
        form = Format.LOGGED
    if form is Format.CSV and request_logs.is_request_log(csv_files.first_row(path)):
        form = Format.LOGGED
    yield Piece(path, form, size)
