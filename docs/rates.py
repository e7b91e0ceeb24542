"""The measured rates that other documents repeat, taken from the table that `bench.judge` wrote into docs/judge.md."""

from __future__ import annotations

from itertools import dropwhile, takewhile
from pathlib import Path

from docs.markdown import table

BEGIN = "<!-- bench.judge writes from here -->"
SHOWN = {
    "judge": "judge",
    "noisy": "healthy rolled back, noisy service",
    "bad promoted": "bad promoted",
    "median time to rollback": "median time to rollback",
}
"""Columns of the first table, and how they are called where they stand alone."""


def rates(document: Path) -> str:
    """Which run it was, and some columns of its first table; raises ValueError where a column is missing."""
    lines = document.read_text(encoding="utf-8").partition(BEGIN)[2].strip().splitlines()
    heads, _, *rows = (_cells(line) for line in takewhile(_in_table, dropwhile(lambda line: not _in_table(line), lines)))
    wanted = [heads.index(name) for name in SHOWN]
    return f"{lines[0]}\n\n{table(tuple(SHOWN.values()), [tuple(row[one] for one in wanted) for row in rows])}".rstrip()


def _in_table(line: str) -> bool:
    return line.startswith("|")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
