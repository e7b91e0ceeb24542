"""Counts profiles on Apache Beam, for data that is near Dataflow or Flink.

An element is a piece (a row group or a file) and never a row, as Beam is 200 times slower row by row. The module needs the extra
`beam`, and no other module imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam

from tfcanary.decide import drift
from tfcanary.look.evaluate import sources


class CountPieces(beam.PTransform):  # type: ignore[misc]  # Beam ships no types
    """Turns pieces into one stored profile; all are counted in one layout, so the result equals that of a single pass."""

    def __init__(self, layout: drift.Layout, entity: str = "", chosen: sources.Selection = sources.Selection()) -> None:  # noqa: B008
        super().__init__()
        self._layout, self._entity, self._chosen = layout, entity, chosen

    def expand(self, pieces: Any) -> Any:
        """Count each piece on the worker that reads it, and add up the counts."""
        return pieces | "count" >> beam.Map(self._counted) | "merge" >> beam.CombineGlobally(_Merge())

    def _counted(self, piece: sources.Piece) -> bytes:
        return drift.to_bytes(sources.count([piece], self._layout, self._entity, self._chosen))


class _Merge(beam.CombineFn):  # type: ignore[misc]
    """Adds up stored profiles, which travel between the workers as bytes."""

    def create_accumulator(self) -> bytes:
        return drift.to_bytes(drift.Profile())

    def add_input(self, accumulator: bytes, element: bytes) -> bytes:
        return self.merge_accumulators([accumulator, element])

    def merge_accumulators(self, accumulators: Iterable[bytes]) -> bytes:
        return drift.to_bytes(drift.merge([drift.from_bytes(one) for one in accumulators]))

    def extract_output(self, accumulator: bytes) -> bytes:
        return accumulator


def count(pieces: Sequence[sources.Piece], entity: str = "", options: Any = None) -> drift.Profile:
    """Count the profile of pieces that all workers can read, on the runner of `options`; by default Beam's own in this process."""
    import tempfile
    from pathlib import Path

    layout = sources.layout_of(pieces, entity)
    with tempfile.TemporaryDirectory(prefix="tfcanary-beam-") as folder:
        into = Path(folder) / "profile"
        with beam.Pipeline(options=options) as pipeline:
            counted = pipeline | beam.Create(list(pieces)) | beam.Reshuffle() | CountPieces(layout, entity)
            counted | beam.Map(into.write_bytes)
        return drift.from_bytes(into.read_bytes())
