"""Measures how often judges are wrong, and how late: `python -m bench.judge [--size quick|medium|full] [--seed N] [--write]`.

Exits with 1 where a limit is missed by more than its Monte-Carlo error. On two processors the quick size takes about two minutes, the
medium one about ten, the full one some hours.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from datetime import date

from bench.judge import bars, document
from bench.judge.contestants import ENTRIES, OURS
from bench.judge.runner import ORACLE_OF_GOOD, processors, run
from bench.judge.scenarios import Cell, cells, medium_cells, quick_cells

SIZES = {"quick": quick_cells, "medium": medium_cells, "full": cells}
ORACLE_OF_GOOD_AT = {"quick": 0, "medium": 6, "full": ORACLE_OF_GOOD}
"""Number of healthy watches of a cell for which the oracle is asked, by size."""


def main(arguments: list[str] | None = None) -> int:
    """Run the bench and return the exit code."""
    options = _parser().parse_args(arguments)
    chosen = SIZES[options.size]()
    if options.scale != 1.0:
        chosen = tuple(replace(cell, size=max(round(cell.size * options.scale), 1)) for cell in chosen)
    if options.poll:
        chosen = tuple(cell.every(options.poll) for cell in chosen if not cell.is_stress)
    judges = tuple(ENTRIES) if options.judges == "all" else (OURS.key,)
    began = time.monotonic()

    def report(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s: {text}", file=sys.stderr)

    results = run(chosen, judges, options.seed, options.workers, report, ORACLE_OF_GOOD_AT[options.size])
    bar_results = bars.bar_results(results)
    how = _how(options, chosen)
    print(document.text(results, bar_results, how))
    if options.write:
        document.write(results, bar_results, how, other=bool(options.poll))
    missed = [bar for bar in bar_results if bar.missed]
    for bar in missed:
        print(f"missed: {bar.title}: {bar.reached}, must be {bar.limit}", file=sys.stderr)
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    described = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__, formatter_class=described)
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="how many cells and watches (default: full)")
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", help="--size quick")
    parser.add_argument("--seed", type=int, default=1, help="names all draws (default: 1)")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/judge.md and the picture beside it")
    parser.add_argument("--judges", choices=("all", "ours"), default="all", help="with the rivals (default), or ours alone")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of watches (default: 1)")
    parser.add_argument("--poll", type=float, help="seconds between polls, in all cells but those of stress (default: 30)")
    parser.add_argument("--workers", type=int, default=processors(), help="processes (default: %(default)s)")
    return parser


def _how(options: argparse.Namespace, chosen: tuple[Cell, ...]) -> str:
    asked = ["python -m bench.judge", f"--seed {options.seed}"]
    asked += [f"--size {options.size}"] * (options.size != "full")
    asked += [f"--judges {options.judges}"] * (options.judges != "all")
    asked += [f"--scale {options.scale:g}"] * (options.scale != 1.0)
    asked += [f"--poll {options.poll:g}"] if options.poll else []
    watches = sum(cell.size for cell in chosen)
    return f"`{' '.join(asked)}` on {date.today().isoformat()}: {len(chosen)} cells, {watches:,} watches, every judge on the same ones."


if __name__ == "__main__":
    sys.exit(main())
