"""A release's page as people hold it: shown in a notebook, saved to a file, printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfcanary import report
from tfcanary.core.record import Record
from tfcanary.core.timeline import Timeline
from tfcanary.report import SignaturePairs
from tfcanary.report.plots.markup import element

PAGE = 720
"""Pixels of a page in a notebook before one scrolls in it; its corner makes it larger."""


@dataclass(frozen=True, slots=True, repr=False)
class ReleaseReport:
    """The report of the record's release, as it stood when it was read."""

    record: Record
    timeline: Timeline | None = None
    pairs: SignaturePairs | None = None
    brief: bool = False
    """Only its head: the answer, why, and the first figures."""

    @property
    def html(self) -> str:
        """A page that needs nothing else."""
        return report.release_html(self.record, self.timeline, self.pairs, self.brief)

    @property
    def markdown(self) -> str:
        """The same words without pictures."""
        return report.release_markdown(self.record, self.timeline, self.pairs, self.brief)

    def save(self, path: str | Path) -> Path:
        """Write it: Markdown where the name ends with `.md`, else the page. Returns where it lies."""
        into = Path(path)
        into.write_text(self.markdown if into.suffix == ".md" else self.html, encoding="utf-8")
        return into

    def __repr__(self) -> str:
        return f"<report of {self.record.release.run_id if self.record.release else self.record.model}>"

    def _repr_html_(self) -> str:
        return framed(self.html)


def framed(page: str, height: int = PAGE) -> str:
    """A page inside another one, each with its own styles; nothing in it may run."""
    style = f"width: 100%; height: {height}px; border: 0; resize: vertical"
    return element("iframe", sandbox="", srcdoc=page, style=style, title="report").text
