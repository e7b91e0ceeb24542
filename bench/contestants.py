"""The contestants of `bench.drift`, each in a process of its own and perhaps with another interpreter, and the data they compare."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

CATEGORIES = (2, 5, 20, 50, 100, 1_000, 10_000, 50_000)
FEW_ROWS, FEW_CATEGORIES = 500, 5
"""Of the data without drift: 12 columns of numbers, and categories of 2 to 100 values."""
SEEDS = {"evidently": 8, "nannyml": 12, "tfdv": 12, "scipy": 100, "tfcanary": 400}
"""How many comparisons without drift each contestant makes: the faster it is, the more."""


def columns(n: int, rng: np.random.Generator, drifted: bool) -> dict[str, Any]:
    """Columns of numbers in shapes that are hard to compare, and of categories; with drift some columns move, others never do."""
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
    """The row groups of a file one after the other; the next one is read meanwhile."""
    import pyarrow.parquet as pq

    texts = [name for name in pq.read_schema(file).names if name.startswith("k")]
    with pq.ParquetFile(file, read_dictionary=texts) as parquet, ThreadPoolExecutor(1) as ahead:
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
    """Both files into profiles, and the profiles compared; says how long each took, and what was found."""
    from tfcanary.decide import drift
    from tfcanary.look.evaluate import sources

    began = time.perf_counter()
    first = sources.count(sources.pieces(reference))
    second = sources.count(sources.pieces(current), first.layout)
    counted = time.perf_counter()
    found = drift.compare(first, second)
    ended = time.perf_counter()
    flagged = ", ".join(c.name for c in found.columns if c.finding in ("warn", "fail"))
    size = len(drift.to_bytes(first)) // 1024
    return f"read and count {counted - began:.2f} s, compare {ended - counted:.2f} s, profile {size} kB; drifted: {flagged} {peak()}"


def flagged_tfcanary(reference: Any, current: Any) -> list[str]:
    from tfcanary.decide import drift

    first = drift.profile(reference.to_batches())
    found = drift.compare(first, drift.profile(current.to_batches(), first.layout))
    return [c.name for c in found.columns if c.finding in ("warn", "fail")]


def run_scipy(reference: Path, current: Path) -> str:
    import pyarrow.parquet as pq

    return f"drifted: {', '.join(flagged_scipy(pq.read_table(reference), pq.read_table(current)))} {peak()}"


def flagged_scipy(reference: Any, current: Any) -> list[str]:
    return [name for name, chance in chances_scipy(reference, current).items() if chance < 0.05]


def chances_scipy(reference: Any, current: Any) -> dict[str, float]:
    """The p-value of each column by scipy's tests."""
    import pyarrow as pa
    from scipy import stats

    found = {}
    for name in reference.column_names:
        a, b = reference[name].drop_null(), current[name].drop_null()
        if pa.types.is_string(a.type):
            found[name] = float(stats.chi2_contingency(counts_of(a, b)).pvalue)
        else:
            found[name] = float(stats.ks_2samp(a.to_numpy(), b.to_numpy(), method="asymp").pvalue)
    return found


def counts_of(first: Any, second: Any) -> Any:
    both: dict[str, list[int]] = {}
    for side, column in enumerate((first, second)):
        for one in column.value_counts().to_pylist():
            both.setdefault(one["values"], [0, 0])[side] = one["counts"]
    return np.array(list(both.values()))


def run_evidently(reference: Path, current: Path) -> str:
    import pyarrow.parquet as pq

    return f"drifted: {', '.join(flagged_evidently(pq.read_table(reference), pq.read_table(current)))} {peak()}"


def flagged_evidently(reference: Any, current: Any) -> list[str]:
    """Evidently's report: a column has drifted where a p-value is below its threshold, or a distance is at least its threshold."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    found = Report([DataDriftPreset()]).run(current.to_pandas(), reference.to_pandas()).dict()["metrics"]
    drifts = [one["config"] | {"value": one["value"]} for one in found if one["config"]["type"].endswith("ValueDrift")]
    return [
        one["column"]
        for one in drifts
        if (one["value"] < one["threshold"] if "p_value" in one["method"] else one["value"] >= one["threshold"])
    ]


def run_nannyml(reference: Path, current: Path) -> str:
    import pyarrow.parquet as pq

    return f"drifted: {', '.join(flagged_nannyml(pq.read_table(reference), pq.read_table(current)))} {peak()}"


def flagged_nannyml(reference: Any, current: Any) -> list[str]:
    """NannyML: a column has drifted where any of ten chunks has."""
    import nannyml

    first, second = reference.to_pandas(), current.to_pandas()
    found = nannyml.UnivariateDriftCalculator(column_names=list(first), chunk_number=10).fit(first).calculate(second)
    alerts = found.filter(period="analysis").to_df()
    return sorted({column[0] for column in alerts.columns if column[-1] == "alert" and alerts[column].any()})


def run_tfdv(reference: Path, current: Path) -> str:
    import pyarrow.parquet as pq

    return f"drifted: {', '.join(flagged_tfdv(pq.read_table(reference), pq.read_table(current)))} {peak()}"


def flagged_tfdv(reference: Any, current: Any) -> list[str]:
    """TensorFlow Data Validation, with the thresholds of its guide."""
    import tensorflow_data_validation as tfdv

    first, second = (tfdv.generate_statistics_from_dataframe(side.to_pandas()) for side in (reference, current))
    schema = tfdv.infer_schema(first)
    for feature in schema.feature:
        if feature.name.startswith("k"):
            feature.drift_comparator.infinity_norm.threshold = 0.01
        else:
            feature.drift_comparator.jensen_shannon_divergence.threshold = 0.1
    found = tfdv.validate_statistics(second, schema, previous_statistics=first)
    return sorted(found.anomaly_info)


def peak() -> int:
    """The peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def alarms(name: str) -> str:
    """Compare undrifted data again and again."""
    import pyarrow as pa

    counts = []
    for seed in range(SEEDS[name]):
        first, second = (columns(FEW_ROWS, np.random.default_rng([seed, side]), drifted=False) for side in range(2))
        names = [n for n in first if not n.startswith("k")] + [f"k{k}" for k in CATEGORIES[:FEW_CATEGORIES]]
        tables = [pa.table({n: side[n] for n in names}) for side in (first, second)]
        counts.append(len(set(globals()[f"flagged_{name}"](*tables)) & set(names)))
    each, some = sum(counts) / (len(names) * len(counts)), sum(map(bool, counts)) / len(counts)
    return f"{100 * each:6.2f} % of columns, {100 * some:5.1f} % of {len(counts)} comparisons {peak()}"
