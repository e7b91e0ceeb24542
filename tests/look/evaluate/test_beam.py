"""Beam counts pieces to the bits of one pass. Skipped where apache-beam is not installed."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfcanary.decide.drift import to_bytes
from tfcanary.look.evaluate.sources import count, layout_of, pieces

pytest.importorskip("apache_beam", reason="needs the extra `beam`")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_row_groups_on_beam_merge_to_the_bytes_of_one_pass(tmp_path):
    from tfcanary.look.evaluate import beam

    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(0, 1, 5_000), "s": rng.choice(["a", "b"], 5_000), "user": rng.integers(0, 99, 5_000)})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=300)
    parts = pieces(tmp_path)
    for entity in ("", "user"):
        assert to_bytes(beam.count(parts, entity)) == to_bytes(count(parts, layout_of(parts, entity), entity))
