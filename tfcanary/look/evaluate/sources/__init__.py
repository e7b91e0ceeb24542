"""Data sets as Arrow batches: whatever people keep their rows in, told by its content and read piece by piece.

Everything here is local; what lies in a bucket is copied first. Where rows cannot be read, the sentence names file, row group and
column, or they are counted as dropped: nothing is ever passed over in silence.
"""

from tfcanary.look.evaluate.sources.data_files import pieces, read
from tfcanary.look.evaluate.sources.piece import Piece, Selection
from tfcanary.look.evaluate.sources.piece_counting import count, layout_of

__all__ = ["Piece", "Selection", "count", "layout_of", "pieces", "read"]
