"""Writes the measured tables and the picture into the documents, so that nothing of them is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import marks
from bench.judge import tables
from bench.judge.bars import BarResult
from bench.judge.measures import CONFIDENCE
from bench.judge.picture import draw
from bench.judge.runner import CellResult

DOCS = Path(__file__).parents[2] / "docs"


def text(cells: Sequence[CellResult], results: Sequence[BarResult], how: str) -> str:
    """Return all tables, with the command that made them."""
    design, worlds = ([result for result in cells if result.cell.in_world == wanted] for wanted in (False, True))
    parts = [
        how,
        tables.summary(design),
        "In brackets: 95 % intervals, exact for rates, by order for medians over cells. What was asked for beyond the bars:",
        tables.goals(design),
        "Ours, fault by fault at 5 % of the traffic: median seconds of the waiting oracle / ours, and the share rolled back.",
        tables.faults(design),
        "Healthy canaries before our judge:",
        tables.healthy(design),
        "**Worlds**: services that are unlike these in what real ones were found to be. " + tables.worlds(worlds),
        "Ours, cell by cell; the median is that of the right answer:",
        tables.world_cells(worlds),
        f"The bars; a bar is missed where the {100 * CONFIDENCE:.1f} % interval in brackets excludes it:",
        tables.bars(results),
    ]
    return "\n\n".join(parts)


def write(cells: Sequence[CellResult], results: Sequence[BarResult], how: str, docs: Path = DOCS, other: bool = False) -> None:
    """Replace the marked block of judge.md, and the picture. Raises ValueError where the marks are missing.

    With `other`, the block for a poll other than 30 s is replaced, without the picture, which shows all judges.
    """
    marks.put(docs / "judge.md", "bench.judge --poll" if other else "bench.judge", text(cells, results, how))
    if not other:
        (docs / "judge-rates.svg").write_text(draw(cells, how.replace("`", "")), encoding="utf-8")
