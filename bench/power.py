"""How many drifts are found in few rows, and how many undrifted columns are flagged: `python -m bench.power [--write docs/drift.md]`.

50 columns (`bench.drifting`), of which none or ten have moved a fifth of their rows; each pair of samples is compared by tfcanary and
by scipy's tests with Benjamini and Hochberg's correction. Brackets: 95 % intervals.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import marks
from bench.contestants import chances_scipy, flagged_tfcanary
from bench.drifting import CATEGORIES, NUMBERS, SIZES, columns

ROWS = (500, 2_000)
DRIFTED = 10
"""Columns of 50."""
FALSE = 0.05
"""The rate of false discoveries that both are allowed."""
KINDS = {"numbers": lambda size: size == 0, "2 to 20 values": lambda size: 0 < size <= 20} | {
    f"{many} values": lambda size, many=many: size == many for many in SIZES if many > 20
}


def flagged_scipy(reference: pa.Table, current: pa.Table) -> list[str]:
    from scipy import stats

    chances = chances_scipy(reference, current)
    corrected = stats.false_discovery_control(list(chances.values()))
    return [name for name, one in zip(chances, corrected, strict=True) if one <= FALSE]


CONTESTANTS: dict[str, Callable[[pa.Table, pa.Table], Sequence[str]]] = {
    "tfcanary": flagged_tfcanary,
    "scipy, corrected": flagged_scipy,
}


@dataclass
class Tally:
    """The results of one contestant, comparison by comparison."""

    wrong: list[int] = field(default_factory=list)
    """How many columns were flagged in each comparison without drift."""
    found: list[tuple[int, bool]] = field(default_factory=list)
    """For each drifted column: its number of categories (0: a column of numbers), and whether it was flagged."""

    def cells(self) -> Iterable[str]:
        """The contestant's row of the table."""
        yield rate(sum(self.wrong), len(self.wrong) * (NUMBERS + CATEGORIES))
        yield rate(sum(wrong > 0 for wrong in self.wrong), len(self.wrong))
        yield rate(sum(hit for _, hit in self.found), len(self.found))
        for belongs in KINDS.values():
            hits = [hit for size, hit in self.found if belongs(size)]
            yield f"{100 * sum(hits) / len(hits):.0f} %" if hits else "none"


def rate(hits: int, tries: int) -> str:
    """A rate in percent with its exact 95 % interval (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    low, high = binomtest(hits, tries).proportion_ci()
    return f"{100 * hits / tries:.2f} % [{100 * low:.2f}, {100 * high:.2f}]"


def size_of(column: int) -> int:
    return 0 if column < NUMBERS else SIZES[(column - NUMBERS) % len(SIZES)]


def compare(rows: int, seed: int, tallies: dict[str, Tally]) -> None:
    """One reference, a sample without drift and one with it, for every contestant."""
    drifted = sorted(np.random.default_rng(seed).choice(NUMBERS + CATEGORIES, DRIFTED, replace=False).tolist())
    reference, same, moved = (pa.Table.from_batches(columns(rows, [seed, rows, part], drifted if part == 2 else ())) for part in range(3))
    for name, flagged in CONTESTANTS.items():
        tally = tallies[name]
        tally.wrong.append(len(flagged(reference, same)))
        hits = {int(column[1:]) for column in flagged(reference, moved)} & set(drifted)
        tally.found += [(size_of(column), column in hits) for column in drifted]


def table(seeds: Sequence[int]) -> str:
    """All results as a Markdown table."""
    head = ["rows", "", "undrifted columns flagged", "comparisons without drift that flag any", "drifted columns found", *KINDS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for rows in ROWS:
        tallies = {name: Tally() for name in CONTESTANTS}
        for seed in seeds:
            compare(rows, seed, tallies)
        lines += [f"| {' | '.join([f'{rows:,}', name, *tally.cells()])} |" for name, tally in tallies.items()]
    return "\n".join(lines)


def main() -> None:
    """Compare, print the table, and write it down."""
    parser = argparse.ArgumentParser(prog="python -m bench.power", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="comparisons with drift, and as many without (default: 300)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--write", type=Path, help="a document with marks")
    options = parser.parse_args()
    found = table(range(options.first, options.first + options.seeds))
    command = f"python -m bench.power --seeds {options.seeds} --first {options.first}"
    text = f"{date.today()}, `{command}`, {os.cpu_count()} processors:\n\n{found}"
    print(text)
    if options.write:
        marks.put(options.write, "bench.power", text)


if __name__ == "__main__":
    main()
