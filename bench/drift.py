"""Drift side by side with the bare read and with the tools people use: `python -m bench.drift [FOLDER] [--write docs/drift.md]`.

Writes a reference and a current Parquet file of each shape, and a TFRecord, where there is none yet, and runs each contestant as a
process of its own; they take turns, so that ratios are those of one run. Time and memory are those of the whole process, imports
included. Then 500 rows without any drift are compared again and again: whoever flags a column is wrong. Contestants that are not
installed are said to be missing; none of them is a dependency, and as they do not go together in one environment, `--python
evidently=/venv/bin/python` names one for each. `--only`, `--shape` and `--repeats` make it shorter; `--write` puts what was printed
between the marks in a document.
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
from datetime import date
from pathlib import Path

import numpy as np

from bench import contestants, marks
from bench.contestants import FEW_CATEGORIES, FEW_ROWS, columns

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
"""Contestants that hold all rows in memory: the large shape takes them five gigabytes and minutes."""
EXAMPLES = 100_000
"""Records of the TFRecord file; 20 features each."""
said: list[str] = []


def main() -> None:
    """Parse the options, run what they name, and write the results down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(tempfile.gettempdir(), "tfcanary-bench-drift"))
    parser.add_argument("--shape", choices=[*SHAPES, "records", "alarms"], help="default: all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=NEEDS, action="append")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="the interpreter of a contestant")
    parser.add_argument("--write", type=Path, help="a document with marks")
    parser.add_argument("--run", choices=NEEDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        few = options.shape == "alarms"
        print(contestants.alarms(options.run) if few else getattr(contestants, f"run_{options.run}")(*files(options.folder, options.shape)))
        return
    options.pythons = dict.fromkeys(NEEDS, sys.executable) | dict(one.split("=", 1) for one in options.python)
    for shape in SHAPES:
        if options.shape in (None, shape):
            compare_all(shape, options)
    if options.shape in (None, "records"):
        records(options.folder)
    if options.shape in (None, "alarms"):
        alarms_of_all(options)
    if options.write:
        write_down(options.write, options)


def say(line: str) -> None:
    """Print a line, and keep it for the document."""
    print(line, flush=True)
    said.append(line.rstrip())


def write_down(document: Path, options: argparse.Namespace) -> None:
    """Write the printed lines between the marks of the document, with the day and the command."""
    asked = " ".join(f"--only {name}" for name in options.only or ())
    command = f"python -m bench.drift {asked}".strip()
    shown = "\n".join([f"{date.today()}, {os.cpu_count()} processors, `{command}`:", "", "```", *said, "```"])
    marks.put(document, "bench.drift", shown)


def files(folder: Path, shape: str) -> list[Path]:
    return [folder / f"{shape}-{side}.parquet" for side in ("reference", "current")]


def compare_all(shape: str, options: argparse.Namespace) -> None:
    """All contestants on one shape, in turns."""
    rows, numbers, categories = SHAPES[shape]
    for seed, file in enumerate(files(options.folder, shape)):
        if not file.exists():
            write(file, rows, seed, numbers, categories)
    say(f"{rows:,} rows x {numbers + categories} columns, twice; load {os.getloadavg()[0]:.1f}")
    asked = [name for name in chosen(options) if not (shape == "large" and name in ONLY_SMALL)]
    turns: dict[str, list[tuple[float, float, int, str]]] = {name: [] for name in asked}
    for turn in range(options.repeats):
        for name in asked if turn == 0 else [name for name in asked if name in ("read", "tfcanary", "scipy")]:
            turns[name].append(measure(name, shape, options))
    bare = statistics.median(turn[0] for turn in turns["read"]) if "read" in turns else 0.0
    for name, found in turns.items():
        walls, cpus, peaks, last = zip(*found, strict=True)
        times = f" {statistics.median(walls) / bare:5.1f} x read" if bare else ""
        costs = f"CPU {statistics.median(cpus):6.2f} s  {max(peaks):6,} MiB"
        say(f"{name:10} {statistics.median(walls):7.2f} s [{min(walls):.2f}..{max(walls):.2f}]{times}  {costs}  {last[-1]}")


def chosen(options: argparse.Namespace) -> list[str]:
    """The contestants that the options name and that are installed; the names of the others are printed as missing."""
    asked = [name for name in NEEDS if not options.only or name in options.only]
    missing = [
        name for name in asked if subprocess.run([options.pythons[name], "-c", f"import {NEEDS[name]}"], capture_output=True).returncode
    ]
    for name in missing:
        say(f"{name:10} not installed")
    return [name for name in asked if name not in missing]


def measure(name: str, shape: str, options: argparse.Namespace) -> tuple[float, float, int, str]:
    """One contestant in a process of its own: its seconds of wall and of processor time, its peak in MiB, and its answer."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [options.pythons[name], "-W", "ignore", "-m", "bench.drift", str(options.folder), "--shape", shape, "--run", name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and name in ("read", "tfcanary"):
        raise SystemExit(done.stderr)
    if done.returncode:
        return time.perf_counter() - began, 0.0, 0, f"failed: {done.stderr.strip().splitlines()[-1][:100]}"
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    words, peak_of_it = done.stdout.strip().splitlines()[-1].rsplit(" ", 1)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(peak_of_it), words


def alarms_of_all(options: argparse.Namespace) -> None:
    """How often each contestant flags columns that have not drifted."""
    say(f"{FEW_ROWS} rows x {12 + FEW_CATEGORIES} columns without drift: false alarms")
    for name in chosen(options):
        if name != "read":
            say(f"{name:10} {measure(name, 'alarms', options)[-1]}")


def records(folder: Path) -> None:
    """The time from a file of tf.Example to a profile."""
    from tfcanary.look.evaluate import sources
    from tfcanary.tf.wire import messages, tfrecord

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
    for _ in range(5):
        began = time.perf_counter(), time.process_time()
        rows = sources.count(sources.pieces(path)).rows
        took.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    wall, processor = (rows / min(times) for times in zip(*took, strict=True))
    say(f"TFRecord of tf.Example, 20 features, profiled: {wall:,.0f} examples/s, {processor:,.0f} a second of CPU (best of 5)")


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


if __name__ == "__main__":
    main()
