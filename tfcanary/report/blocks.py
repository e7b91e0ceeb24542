"""The parts of a report as values. `as_html` and `as_markdown` render the same values, so both forms have the same content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Evidence
from tfcanary.core.record import Event
from tfcanary.core.timeline import Timeline
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.histogram import SharePair
from tfcanary.report.plots.over_time import DecisionMark
from tfcanary.report.plots.time_axis import StageBand
from tfcanary.report.plots.waits import Wait
from tfcanary.report.signature_table import SignaturePairs

NAME = 160
"""The largest number of characters of a name, an id or a heading; the renderer cuts a longer one and says how long it was."""
SENTENCE = 800
"""The largest number of characters of any other text."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A word with a colour and a sign."""

    tone: Tone
    word: str


@dataclass(frozen=True, slots=True)
class Code:
    """An id, a path or a digest, in a font of equal widths."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A name that leads to another page of the same server; `href` is relative, and its parts are percent-encoded."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class CellWithNote:
    """The content of a table cell with a smaller note below it."""

    main: str | Badge | Code | Link
    note: str


Cell = str | Badge | Code | Link | CellWithNote


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table; `width` is in pixels, and 0 means an equal part of the remaining width."""

    heading: str
    width: int = 0
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; each row has as many cells as there are columns."""

    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One or two sentences; `quiet` shows them smaller and in grey."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """A list of names and values, one pair a line."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class CriteriaChart:
    """Evidence with intervals: one picture each in HTML, one table in Markdown."""

    evidence: tuple[Evidence, ...]
    legend: bool = True
    """False where the chart before it has the legend."""


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """Weight, requests, findings and intervals of a release over time."""

    timeline: Timeline
    events: tuple[Event, ...] = ()
    """The weights are taken from the events where the timeline has no points."""
    bands: tuple[StageBand, ...] = ()
    marks: tuple[DecisionMark, ...] = ()
    criteria: Mapping[str, Evidence] = field(default_factory=dict)
    """The last evidence of each criterion by its id: the unit, tolerance and margin of its interval."""


@dataclass(frozen=True, slots=True)
class SignatureDiff:
    """A table of two signatures side by side."""

    pairs: SignaturePairs


@dataclass(frozen=True, slots=True)
class DistributionChart:
    """Two distributions of one column: overlaid bars in HTML, a table of the shares in Markdown."""

    name: str
    pairs: tuple[SharePair, ...]


@dataclass(frozen=True, slots=True)
class WaitsChart:
    """Times until named outcomes, beside the least and the most time of a stage in seconds; Markdown lists them in a table."""

    waits: tuple[Wait, ...]
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that HTML hides behind a line until the reader opens it; Markdown always shows them."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Subsection:
    """Blocks below a heading of the third level, with an optional badge beside the heading."""

    heading: str
    badge: Badge | None
    blocks: tuple[Block, ...]


Block = Table | Paragraph | Facts | CriteriaChart | HistoryChart | SignatureDiff | DistributionChart | WaitsChart | Fold | Subsection


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks below a heading of the second level."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A whole report: the answer, one sentence of reason, figures, and the sections with the evidence."""

    title: str
    about: str
    """What was judged; it is shown above the answer."""
    answer: Badge
    why: str
    """The reason for the answer, in one sentence."""
    facts: tuple[tuple[str, str], ...]
    """Names and values that are shown below the reason."""
    sections: tuple[Section, ...]
