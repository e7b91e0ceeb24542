"""Every page is exactly what somebody looked at and kept."""

from __future__ import annotations

import pytest

from tests.report.write_golden import FOLDER, pages

PAGES = dict(pages())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_was_kept(name: str) -> None:
    """If the change is meant: python -m tests.report.write_golden, and look at the pages."""
    assert PAGES[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_no_golden_page_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
