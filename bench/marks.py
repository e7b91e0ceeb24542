"""Writes the results of a bench into a document, between its marks; no result is typed by hand."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, bench: str, text: str) -> None:
    """Replace what stands between the marks of a bench. Raises ValueError where the marks are missing."""
    begin, end = f"<!-- {bench} writes from here -->", f"<!-- {bench} wrote until here -->"
    held = page.read_text(encoding="utf-8")
    if held.count(begin) != 1 or held.count(end) != 1:
        raise ValueError(f"{page}: must hold {begin!r} and {end!r} once each")
    before, rest = held.split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
