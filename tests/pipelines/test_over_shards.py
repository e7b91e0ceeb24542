"""The example for large data, run by KFP's own local runner: a loop over shards, and one task that adds them up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tfcanary.decide import drift
from tfcanary.look.evaluate import sources

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from kfp import local
from components.profile_data.over_shards import over_shards

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2], raise_on_error=True)
over_shards(data=sys.argv[1])
"""


@pytest.mark.slow
def test_shards_counted_by_a_loop_of_the_pipeline_merge_to_the_bits_of_one_pass(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for day in range(3):
        (data / f"day={day}").mkdir(parents=True)
        rng = np.random.default_rng(day)
        table = pa.table({"x": rng.normal(day, 1, 2_000), "city": rng.choice(["Amsterdam", "Berlin"], 2_000)})
        parquet.write_table(table, data / f"day={day}" / "part.parquet", row_group_size=700)
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(data), str(tmp_path / "out")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    (merged,) = tmp_path.glob("out/*/profile-data-2/profile")
    assert len(list(tmp_path.glob("out/*/for-loop-*/profile-data/profile"))) == 4
    pieces = sources.pieces(data)
    assert len(pieces) == 9
    one_pass = sources.count(pieces, sources.layout_of(pieces))
    assert merged.read_bytes() == drift.to_bytes(one_pass)
    assert one_pass.rows == 6_000
