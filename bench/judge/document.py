"""Writes what was measured where people read it; nothing of it is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import marks
from bench.judge import tables
from bench.judge.bars import Result
from bench.judge.picture import draw
from bench.judge.runner import Found

DOCS = Path(__file__).parents[2] / "docs"


def text(cells: Sequence[Found], results: Sequence[Result], how: str) -> str:
    """All tables, with how they came about."""
    parts = [
        how,
        tables.summary(cells),
        "In brackets: 95 % intervals, exact for rates, by order for medians over cells. What was asked for beyond the bars:",
        tables.goals(cells),
        "Ours, fault by fault at 5 % of the traffic: median seconds of the waiting oracle / ours, and the share rolled back.",
        tables.faults(cells),
        "Healthy canaries before our judge:",
        tables.healthy(cells),
        "The bars:",
        tables.bars(results),
    ]
    return "\n\n".join(parts)


def write(cells: Sequence[Found], results: Sequence[Result], how: str, docs: Path = DOCS, other: bool = False) -> None:
    """Replace the marked block of judge.md, and the picture. Raises ValueError where the marks are missing.

    `other`: the block of what was measured at another poll than 30 s; without the picture, which shows all judges.
    """
    marks.put(docs / "judge.md", "bench.judge --poll" if other else "bench.judge", text(cells, results, how))
    if not other:
        (docs / "judge-rates.svg").write_text(draw(cells, how.replace("`", "")), encoding="utf-8")
