"""Writes what was measured where people read it; nothing of it is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.judge import tables
from bench.judge.bars import Result
from bench.judge.picture import draw
from bench.judge.runner import Found

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- bench.judge writes from here -->", "<!-- bench.judge wrote until here -->"


def text(cells: Sequence[Found], results: Sequence[Result], how: str) -> str:
    """All tables, with how they came about."""
    parts = [
        how,
        tables.summary(cells),
        "Ours, fault by fault at 5 % of the traffic: median seconds of the waiting oracle / ours, and the share rolled back.",
        tables.faults(cells),
        "Healthy canaries before our judge:",
        tables.healthy(cells),
        "The bars:",
        tables.bars(results),
    ]
    return "\n\n".join(parts)


def write(cells: Sequence[Found], results: Sequence[Result], how: str, docs: Path = DOCS) -> None:
    """Replace the marked block of judge.md, and the picture. Raises ValueError where the marks are missing."""
    page = docs / "judge.md"
    held = page.read_text(encoding="utf-8")
    if held.count(BEGIN) != 1 or held.count(END) != 1:
        raise ValueError(f"{page}: must hold {BEGIN!r} and {END!r} once each")
    before, rest = held.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{text(cells, results, how)}\n\n{END}{after}", encoding="utf-8")
    (docs / "judge-rates.svg").write_text(draw(cells, how.replace("`", "")), encoding="utf-8")
