"""Counts pieces into one profile; a thread reads ahead while the counting goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfcanary.decide.drift import BatchCounter, Layout, Profile, largest_cell_share
from tfcanary.decide.drift.counting import FIRST_ROWS
from tfcanary.look.evaluate.sources import csv_files
from tfcanary.look.evaluate.sources.data_files import read
from tfcanary.look.evaluate.sources.piece import Format, Piece, Selection

Progress = Callable[[int, int], None]
"""Takes the number of bytes that are counted and the number of bytes of all pieces."""

SAMPLE_PIECES = 8
"""Number of pieces from which a layout is chosen."""
SAMPLE_ROWS = 8_192
"""Number of rows of each piece from which a layout is chosen."""
COARSE = 0.004
"""Largest share of rows in one cell of several values; a larger one means that the rows are sorted, so that the first rows say little
about the others."""


def count(
    pieces: Sequence[Piece],
    layout: Layout | None = None,
    entity: str = "",
    chosen: Selection = Selection(),  # noqa: B008  a frozen value
    progress: Progress | None = None,
) -> Profile:
    """Count the profile of all pieces.

    Without a layout, one is chosen from the first rows, or from rows of many pieces where the first ones give a coarse layout. Raises
    Refused with file, row group and column where rows cannot be read or counted.
    """
    pieces = csv_files.typed(pieces)
    profile = _count(pieces, layout, entity, chosen, progress)
    if layout is None and len(pieces) > 1 and profile.rows > FIRST_ROWS and largest_cell_share(profile) > COARSE:
        return _count(pieces, layout_of(pieces, entity, chosen), entity, chosen, progress)
    return profile


def layout_of(pieces: Sequence[Piece], entity: str = "", chosen: Selection = Selection()) -> Layout:  # noqa: B008
    """Choose a layout from rows of many pieces; shards that are counted separately must share one."""
    pieces = csv_files.typed(pieces)
    counting = BatchCounter(entity=entity)
    step = max(1, len(pieces) // SAMPLE_PIECES)
    for piece in pieces[::step][: SAMPLE_PIECES + 1]:
        left = SAMPLE_ROWS
        for batch, at in read(piece, chosen, lambda _: None):
            counting.add(batch.take(_even_places(batch.num_rows, left)), at)
            left -= batch.num_rows
            if left <= 0:
                break
    return counting.profile().layout


def _even_places(rows: int, most: int) -> Any:
    """The places of about `most` rows at equal distances."""
    import pyarrow as pa

    return pa.array(range(0, rows, max(1, rows // max(1, most))), pa.int64())


def _count(pieces: Sequence[Piece], layout: Layout | None, entity: str, chosen: Selection, progress: Progress | None) -> Profile:
    counting = BatchCounter(layout, entity)
    total, so_far = sum(piece.size for piece in pieces), 0

    def drop(rows: int) -> None:
        counting.dropped += rows

    for piece, batches in _read_ahead(pieces, chosen, drop):
        for batch, at in batches:
            counting.add(batch, at)
        so_far += piece.size
        if progress:
            progress(so_far, total)
    return counting.profile()


def _read_ahead(
    pieces: Sequence[Piece], chosen: Selection, drop: Callable[[int], None]
) -> Iterator[tuple[Piece, Iterator[tuple[Any, str]]]]:
    """Each piece with its batches, which a thread reads ahead: one row group of Parquet, also across files, or one batch else."""
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        waiting = None
        for number, piece in enumerate(pieces):
            if piece.format is not Format.PARQUET:
                yield piece, _prefetch(read(piece, chosen, drop), pool)
                continue
            ready = waiting or pool.submit(_read_all, piece, chosen, drop)
            following = pieces[number + 1] if number + 1 < len(pieces) else None
            batches = ready.result()
            ahead = following is not None and following.format is Format.PARQUET
            waiting = pool.submit(_read_all, following, chosen, drop) if ahead and following else None
            yield piece, iter(batches)


def _prefetch(batches: Iterator[tuple[Any, str]], pool: ThreadPoolExecutor) -> Iterator[tuple[Any, str]]:
    """The batches, each of which the thread decodes while the caller counts the one before."""
    waiting = pool.submit(next, batches, None)
    while (batch := waiting.result()) is not None:
        waiting = pool.submit(next, batches, None)
        yield batch


def _read_all(piece: Piece, chosen: Selection, drop: Callable[[int], None]) -> list[tuple[Any, str]]:
    return list(read(piece, chosen, drop))
