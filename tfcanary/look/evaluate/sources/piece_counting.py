"""Pieces counted into one profile: read ahead by one thread, counted meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfcanary.decide.drift import BatchCounter, Layout, Profile, largest_cell_share
from tfcanary.decide.drift.counting import FIRST_ROWS
from tfcanary.look.evaluate.sources.data_files import read
from tfcanary.look.evaluate.sources.piece import Format, Piece, Selection

Progress = Callable[[int, int], None]
"""Told the bytes that are counted and those of all pieces."""

SAMPLED = 8
"""Pieces that a layout is chosen from."""
SAMPLE_ROWS = 8_192
COARSE = 0.004
"""The largest cell of several values that is put up with: with more in it, the rows are sorted, and the first ones say little about
the rest."""


def count(
    pieces: Sequence[Piece],
    layout: Layout | None = None,
    entity: str = "",
    chosen: Selection = Selection(),  # noqa: B008  a frozen value
    progress: Progress | None = None,
) -> Profile:
    """The profile of all pieces; without a layout one is chosen from the first rows, or from all over where those say too little.

    Raises Refused with file, row group and column where something cannot be read or counted.
    """
    profile = _count(pieces, layout, entity, chosen, progress)
    if layout is None and len(pieces) > 1 and profile.rows > FIRST_ROWS and largest_cell_share(profile) > COARSE:
        return _count(pieces, layout_of(pieces, entity, chosen), entity, chosen, progress)
    return profile


def layout_of(pieces: Sequence[Piece], entity: str = "", chosen: Selection = Selection()) -> Layout:  # noqa: B008
    """A layout from rows of pieces all over: what shards that are counted apart must share."""
    counting = BatchCounter(entity=entity)
    step = max(1, len(pieces) // SAMPLED)
    for piece in pieces[::step][: SAMPLED + 1]:
        left = SAMPLE_ROWS
        for batch, at in read(piece, chosen, lambda _: None):
            counting.add(batch.take(_spread(batch.num_rows, left)), at)
            left -= batch.num_rows
            if left <= 0:
                break
    return counting.profile().layout


def _spread(rows: int, most: int) -> Any:
    import pyarrow as pa

    return pa.array(range(0, rows, max(1, rows // max(1, most))), pa.int64())


def _count(pieces: Sequence[Piece], layout: Layout | None, entity: str, chosen: Selection, progress: Progress | None) -> Profile:
    counting = BatchCounter(layout, entity)
    total, done = sum(piece.size for piece in pieces), 0

    def drop(rows: int) -> None:
        counting.dropped += rows

    for piece, batches in _ahead(pieces, chosen, drop):
        for batch, at in batches:
            counting.add(batch, at)
        done += piece.size
        if progress:
            progress(done, total)
    return counting.profile()


def _ahead(pieces: Sequence[Piece], chosen: Selection, drop: Callable[[int], None]) -> Iterator[tuple[Piece, Iterator[tuple[Any, str]]]]:
    """Row groups one ahead, across files; batches of other files one ahead within each."""
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        waiting = None
        for number, piece in enumerate(pieces):
            if piece.format is not Format.PARQUET:
                yield piece, _prefetched(read(piece, chosen, drop), pool)
                continue
            ready = waiting or pool.submit(_whole, piece, chosen, drop)
            following = pieces[number + 1] if number + 1 < len(pieces) else None
            batches = ready.result()
            ahead = following is not None and following.format is Format.PARQUET
            waiting = pool.submit(_whole, following, chosen, drop) if ahead and following else None
            yield piece, iter(batches)


def _prefetched(batches: Iterator[tuple[Any, str]], pool: ThreadPoolExecutor) -> Iterator[tuple[Any, str]]:
    """The next batch is decoded while this one is counted."""
    waiting = pool.submit(next, batches, None)
    while (batch := waiting.result()) is not None:
        waiting = pool.submit(next, batches, None)
        yield batch


def _whole(piece: Piece, chosen: Selection, drop: Callable[[int], None]) -> list[tuple[Any, str]]:
    return list(read(piece, chosen, drop))
