"""Drift side by side with the bare read and with the tools people use: `python -m bench.drift [FOLDER]`.

Writes a reference and a current Parquet file of each shape, and a TFRecord, where there is none yet, and runs each contestant as a
process of its own: time and memory are those of the whole process, imports included. Contestants that are not installed are said to be
missing; none of them is a dependency. `--only`, `--shape` and `--repeats` make it shorter.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

CATEGORIES = (2, 5, 20, 50, 100, 1_000, 10_000, 50_000)
GROUP = 250_000
"""Rows of a row group."""
SHAPES = {"small": (1_000_000, 12, 8), "large": (10_000_000, 7, 3)}
"""Rows, numbers and categories of each side."""
NEEDS = {
    "read": "pyarrow",
    "tfcanary": "pyarrow",
    "scipy": "scipy",
    "evidently": "evidently",
    "nannyml": "nannyml",
    "tfdv": "tensorflow_data_validation",
}
ONLY_SMALL = ("scipy", "evidently", "nannyml", "tfdv")
"""They hold everything in memory: five gigabytes and minutes for the large shape."""
EXAMPLES = 100_000
"""Records of the TFRecord file; 20 features each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(tempfile.gettempdir(), "tfcanary-bench-drift"))
    parser.add_argument("--shape", choices=[*SHAPES, "records"], help="default: all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=NEEDS)
    parser.add_argument("--run", choices=NEEDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(globals()[f"run_{options.run}"](*files(options.folder, options.shape)))
        return
    for shape in SHAPES:
        if options.shape in (None, shape):
            compare_all(shape, options)
    if options.shape in (None, "records"):
        records(options.folder)


def files(folder: Path, shape: str) -> list[Path]:
    return [folder / f"{shape}-{side}.parquet" for side in ("reference", "current")]


def compare_all(shape: str, options: argparse.Namespace) -> None:
    rows, numbers, categories = SHAPES[shape]
    for seed, file in enumerate(files(options.folder, shape)):
        if not file.exists():
            write(file, rows, seed, numbers, categories)
    print(f"{rows:,} rows x {numbers + categories} columns, twice; load {os.getloadavg()[0]:.1f}")
    bare = 0.0
    for name, module in NEEDS.items():
        if options.only not in (None, name) or (shape == "large" and name in ONLY_SMALL):
            continue
        if find_spec(module) is None:
            print(f"{name:10} not installed")
            continue
        wall = measure(name, shape, options, bare)
        bare = wall if name == "read" else bare


def measure(name: str, shape: str, options: argparse.Namespace, bare: float) -> float:
    walls, cpus, peaks, said = [], [], [], ""
    for _ in range(options.repeats):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "bench.drift", str(options.folder), "--shape", shape, "--run", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        said, peak = done.stdout.strip().splitlines()[-1].rsplit(" ", 1)
        peaks.append(int(peak))
    median = statistics.median(walls)
    times = f" {median / bare:5.1f} x read" if bare else ""
    costs = f"CPU {statistics.median(cpus):.2f} s  {max(peaks):6,} MiB"
    print(f"{name:10} {median:7.2f} s [{min(walls):.2f}..{max(walls):.2f}]{times}  {costs}  {said}", flush=True)
    return median


def records(folder: Path) -> None:
    """tf.Example to a profile."""
    from tfcanary.evaluate import sources
    from tfcanary.wire import messages, tfrecord

    path = folder / "examples.tfrecord"
    if not path.exists():
        rng = np.random.default_rng(0)
        distinct = []
        for _ in range(1_000):
            example = messages.Example()
            for i in range(12):
                example.features.feature[f"number_{i}"].float_list.value.append(float(rng.normal()))
            for i in range(8):
                example.features.feature[f"text_{i}"].bytes_list.value.append(b"value %d" % rng.integers(0, 1_000))
            distinct.append(example.SerializeToString())
        tfrecord.write(path, (distinct[i % len(distinct)] for i in range(EXAMPLES)))
    took = []
    for _ in range(3):
        began = time.perf_counter()
        rows = sources.count(sources.pieces(path)).rows
        took.append(time.perf_counter() - began)
    print(f"TFRecord of tf.Example, 20 features: {rows / min(took):,.0f} examples/s to a profile (best of 3)")


def write(file: Path, rows: int, seed: int, numbers: int, categories: int) -> None:
    """Columns of numbers and of categories; some of each drift between reference and current."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, GROUP):
        made = columns(min(GROUP, rows - start), rng, drifted=bool(seed))
        names = [n for n in made if not n.startswith("k")][:numbers] + [n for n in made if n.startswith("k")][:categories]
        table = pa.table({name: made[name] for name in names})
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    assert writer
    writer.close()


def columns(n: int, rng: np.random.Generator, drifted: bool) -> dict[str, Any]:
    import pyarrow as pa

    found: dict[str, Any] = {
        "normal": rng.normal(0, 1, n),
        "shifted": rng.normal(0.25 * drifted, 1, n),
        "lognormal": rng.lognormal(0, 1, n),
        "wider": rng.lognormal(0, 1 + 0.4 * drifted, n),
        "t2": rng.standard_t(2, n),
        "pareto": rng.pareto(1.1, n),
        "zeros": np.where(rng.random(n) < 0.7, 0.0, rng.exponential(1, n)),
        "nulls": pa.array(rng.normal(0, 1, n), mask=rng.random(n) < (0.12 if drifted else 0.02)),
        "whole": rng.poisson(7, n),
        "epoch": rng.integers(1_700_000_000, 1_700_600_000, n),
        "price": np.round(rng.lognormal(3, 1, n)) + 0.99,
        "float32": rng.normal(1e3, 1, n).astype(np.float32),
    }
    for k in CATEGORIES:
        codes = rng.integers(0, k, n)
        if drifted and k in (5, 50, 1_000):
            codes[rng.random(n) < 0.15] = 0
        names = pa.array([f"value {i}" for i in range(k)])
        found[f"k{k}"] = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names).cast(pa.string())
    return found


def batches(file: Path) -> Iterator[Any]:
    """One row group after the other, the next one read meanwhile."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, read_dictionary=[f"k{k}" for k in CATEGORIES]) as parquet, ThreadPoolExecutor(1) as ahead:
        waiting = ahead.submit(parquet.read_row_group, 0)
        for number in range(parquet.num_row_groups):
            table = waiting.result()
            if number + 1 < parquet.num_row_groups:
                waiting = ahead.submit(parquet.read_row_group, number + 1)
            yield from table.to_batches()


def run_read(reference: Path, current: Path) -> str:
    rows = sum(batch.num_rows for file in (reference, current) for batch in batches(file))
    return f"{rows:,} rows {peak()}"


def run_tfcanary(reference: Path, current: Path) -> str:
    from tfcanary import drift
    from tfcanary.evaluate import sources

    began = time.perf_counter()
    first = sources.count(sources.pieces(reference))
    second = sources.count(sources.pieces(current), first.layout)
    counted = time.perf_counter()
    found = drift.compare(first, second)
    ended = time.perf_counter()
    flagged = ", ".join(c.name for c in found.columns if c.finding in ("warn", "fail"))
    size = len(drift.to_bytes(first)) // 1024
    return f"read and count {counted - began:.2f} s, compare {ended - counted:.2f} s, profile {size} kB; drifted: {flagged} {peak()}"


def run_scipy(reference: Path, current: Path) -> str:
    import pyarrow.parquet as pq
    from scipy import stats

    first, second = pq.read_table(reference), pq.read_table(current)
    flagged = []
    for name in first.column_names:
        a, b = first[name].drop_null(), second[name].drop_null()
        if name.startswith("k"):
            p = stats.chi2_contingency(counts_of(a, b)).pvalue
        else:
            p = stats.ks_2samp(a.to_numpy(), b.to_numpy(), method="asymp").pvalue
        flagged += [name] if p < 0.05 else []
    return f"drifted: {', '.join(flagged)} {peak()}"


def counts_of(first: Any, second: Any) -> Any:
    both: dict[str, list[int]] = {}
    for side, column in enumerate((first, second)):
        for one in column.value_counts().to_pylist():
            both.setdefault(one["values"], [0, 0])[side] = one["counts"]
    return np.array(list(both.values()))


def run_evidently(reference: Path, current: Path) -> str:
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    Report([DataDriftPreset()]).run(pd.read_parquet(current), pd.read_parquet(reference))
    return f"report made {peak()}"


def run_nannyml(reference: Path, current: Path) -> str:
    import nannyml
    import pandas as pd

    first, second = pd.read_parquet(reference), pd.read_parquet(current)
    nannyml.UnivariateDriftCalculator(column_names=list(first), chunk_number=10).fit(first).calculate(second)
    return f"calculated {peak()}"


def run_tfdv(reference: Path, current: Path) -> str:
    import pandas as pd
    import tensorflow_data_validation as tfdv

    first, second = (tfdv.generate_statistics_from_dataframe(pd.read_parquet(file)) for file in (reference, current))
    schema = tfdv.infer_schema(first)
    for feature in schema.feature:
        feature.drift_comparator.jensen_shannon_divergence.threshold = 0.1
    found = tfdv.validate_statistics(second, schema, previous_statistics=first)
    return f"{len(found.drift_skew_info)} columns compared {peak()}"


def peak() -> int:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
