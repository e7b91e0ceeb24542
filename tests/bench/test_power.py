"""The bench of few rows: what it counts, and that it is written where people read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import marks, power


def test_every_contestant_has_a_row_for_each_number_of_rows() -> None:
    lines = power.table(range(2)).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [[f"| {rows:,}", name] for rows in power.ROWS for name in power.CONTESTANTS]
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    shares = {line.split(" | ")[1]: float(line.split(" | ")[4].split(" %")[0]) for line in lines[2:4]}
    assert all(share > 50 for share in shares.values())


def test_a_rate_has_an_interval_also_where_nothing_was_found() -> None:
    assert power.rate(0, 400) == "0.00 % [0.00, 0.92]"
    assert power.rate(1, 2) == "50.00 % [1.26, 98.74]"


def test_what_was_measured_replaces_what_was_measured_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- b writes from here -->\nold\n<!-- b wrote until here -->\nafter\n")
    marks.put(page, "b", "new")
    marks.put(page, "b", "newer")
    assert page.read_text() == "before\n<!-- b writes from here -->\n\nnewer\n\n<!-- b wrote until here -->\nafter\n"
    with pytest.raises(ValueError, match="must hold '<!-- c writes from here -->'"):
        marks.put(page, "c", "new")
