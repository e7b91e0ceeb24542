"""Which files there are, what they hold, and which pieces of them can be read alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import KNOWN, Format, Piece, Selection

MOST_FILES = 100_000
HIDDEN = (".", "_")
"""Files whose names begin so are bookkeeping: `_SUCCESS`, `.crc`."""


def pieces(path: Path) -> tuple[Piece, ...]:
    """The pieces of a file, or of all files below a folder in the order of their names; raises Refused where there is none."""
    files = sorted(_below(path)) if path.is_dir() else [path]
    if not files:
        raise Refused(f"{path}: no files; {KNOWN}")
    if len(files) > MOST_FILES:
        raise Refused(f"{path}: more than {MOST_FILES} files; point to a part of them")
    try:
        found = [piece for file in files for piece in _of(file)]
    except OSError as error:
        raise Refused(f"{error.filename or path}: cannot be read ({error.strerror})") from error
    return _together(found)


def _together(found: list[Piece]) -> tuple[Piece, ...]:
    """All files of loggers as one piece, after the others."""
    logged = [piece for piece in found if piece.format is Format.LOGGED]
    others = tuple(piece for piece in found if piece.format is not Format.LOGGED)
    if not logged:
        return others
    more = tuple(piece.path for piece in logged[1:])
    return *others, Piece(logged[0].path, Format.LOGGED, sum(piece.size for piece in logged), more=more)


def read(piece: Piece, chosen: Selection, drop: Callable[[int], None]) -> Iterator[tuple[Any, str]]:
    """Arrow record batches of a piece, each with where it comes from; `drop` is told how many rows could not be read."""
    from tfcanary.look.evaluate.sources import request_logs, tables, tfrecord_files

    readers: dict[Format, Callable[[Piece, Selection], Iterator[tuple[Any, str]]]] = {
        Format.PARQUET: tables.parquet,
        Format.ARROW: tables.arrow,
        Format.STREAM: tables.arrow,
        Format.CSV: tables.csv,
        Format.LINES: tables.lines,
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


def _of(path: Path) -> Iterator[Piece]:
    from tfcanary.look.evaluate.sources import request_logs, tables
    from tfcanary.look.evaluate.sources.file_format import format_of

    found, size = format_of(path), path.stat().st_size
    if found is Format.PARQUET:
        if not request_logs.is_logged(tables.names(path)):
            yield from tables.groups(path)
            return
        found = Format.LOGGED
    if found is Format.CSV and request_logs.is_logged(request_logs.csv_names(path)):
        found = Format.LOGGED
    yield Piece(path, found, size)
