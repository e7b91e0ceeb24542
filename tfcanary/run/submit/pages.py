"""A release's report in Python: shown in a notebook, saved to a file, or printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfcanary import report
from tfcanary.core.record import Record
from tfcanary.core.timeline import Timeline
from tfcanary.report import SignaturePairs
from tfcanary.report.plots.markup import element

PAGE = 720
"""Pixels of a page in a notebook before one scrolls in it; the reader makes it larger by its corner."""


@dataclass(frozen=True, slots=True, repr=False)
class ReleaseReport:
    """The report of the record's release, as the record was when it was read."""

    record: Record
    timeline: Timeline | None = None
    pairs: SignaturePairs | None = None
    brief: bool = False
    """Whether the report is only its head: the answer, the reason, and the first figures."""

    @property
    def html(self) -> str:
        """The report as a page that needs no other file."""
        return report.release_html(self.record, self.timeline, self.pairs, self.brief)

    @property
    def markdown(self) -> str:
        """The report as Markdown, without the page's pictures."""
        return report.release_markdown(self.record, self.timeline, self.pairs, self.brief)

    def save(self, path: str | Path) -> Path:
        """Write the report to a file: as Markdown where the name ends with `.md`, else as a page. Returns the file's path."""
        into = Path(path)
        into.write_text(self.markdown if into.suffix == ".md" else self.html, encoding="utf-8")
        return into

    def __repr__(self) -> str:
        return f"<report of {self.record.release.run_id if self.record.release else self.record.model}>"

    def _repr_html_(self) -> str:
        return frame(self.html)


def frame(page: str, height: int = PAGE) -> str:
    """Return an iframe that shows a page inside another one, `height` pixels high, with its own styles and without scripts."""
    style = f"width: 100%; height: {height}px; border: 0; resize: vertical"
    return element("iframe", sandbox="", srcdoc=page, style=style, title="report").text
