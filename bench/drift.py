"""Drift side by side with the bare read and with the tools people use: `python -m bench.drift FOLDER [--rows 1000000]`.

Writes a reference and a current Parquet file of 20 columns where there is none yet, and runs each contestant as a process of its own:
time and memory are those of the whole process, imports included. Contestants that are not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
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
NEEDS = {"read": "pyarrow", "tfcanary": "pyarrow", "scipy": "pandas", "evidently": "evidently", "nannyml": "nannyml"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=NEEDS)
    parser.add_argument("--run", choices=NEEDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    files = [options.folder / f"{side}-{options.rows}.parquet" for side in ("reference", "current")]
    if options.run:
        print(globals()[f"run_{options.run}"](*files))
        return
    for seed, file in enumerate(files):
        if not file.exists():
            write(file, options.rows, seed)
    print(f"{options.rows:,} rows x {12 + len(CATEGORIES)} columns, twice; load {os.getloadavg()[0]:.1f}")
    for name, module in NEEDS.items():
        if options.only not in (None, name):
            continue
        if find_spec(module) is None:
            print(f"{name:10} not installed")
            continue
        measure(name, options)


def measure(name: str, options: argparse.Namespace) -> None:
    walls, peaks, said = [], [], ""
    for _ in range(options.repeats):
        began = time.perf_counter()
        command = [sys.executable, "-m", "bench.drift", str(options.folder), "--rows", str(options.rows), "--run", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        walls.append(time.perf_counter() - began)
        said, peak = done.stdout.strip().splitlines()[-1].rsplit(" ", 1)
        peaks.append(int(peak))
    print(f"{name:10} {statistics.median(walls):7.2f} s [{min(walls):.2f}..{max(walls):.2f}]  {max(peaks):6,} MiB  {said}", flush=True)


def write(file: Path, rows: int, seed: int) -> None:
    """Twelve columns of numbers and eight of categories; three of each drift between reference and current."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, GROUP):
        table = pa.table(columns(min(GROUP, rows - start), rng, drifted=bool(seed)))
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

    began = time.perf_counter()
    first = drift.profile(batches(reference))
    second = drift.profile(batches(current), first.layout)
    counted = time.perf_counter()
    found = drift.compare(first, second)
    ended = time.perf_counter()
    flagged = ", ".join(c.name for c in found.columns if c.finding in ("warn", "fail"))
    size = len(drift.to_bytes(first)) // 1024
    return f"read and count {counted - began:.2f} s, compare {ended - counted:.2f} s, profile {size} kB; drifted: {flagged} {peak()}"


def run_scipy(reference: Path, current: Path) -> str:
    import pandas as pd
    from scipy import stats

    first, second = pd.read_parquet(reference), pd.read_parquet(current)
    flagged = []
    for name in first:
        if name.startswith("k"):
            both = pd.concat([first[name].value_counts(), second[name].value_counts()], axis=1).fillna(0).to_numpy()
            p = stats.chi2_contingency(both).pvalue
        else:
            p = stats.ks_2samp(first[name].dropna(), second[name].dropna(), method="asymp").pvalue
        flagged += [name] * (p < 0.05)
    return f"drifted: {', '.join(flagged)} {peak()}"


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


def peak() -> int:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
