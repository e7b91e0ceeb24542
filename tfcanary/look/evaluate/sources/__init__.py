"""Reads data sets of many file formats, which it finds by the content of the files, as Arrow batches and piece by piece.

Everything here is local; callers first copy files from a bucket. Where rows cannot be read, an error names the file, row group and
column, or the rows are counted as dropped: no row is skipped silently.
"""

from tfcanary.look.evaluate.sources.data_files import pieces, read
from tfcanary.look.evaluate.sources.piece import Piece, Selection
from tfcanary.look.evaluate.sources.piece_counting import count, layout_of

__all__ = ["Piece", "Selection", "count", "layout_of", "pieces", "read"]
