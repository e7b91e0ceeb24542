"""What a report is made of, before anybody decides how it looks: HTML and Markdown are two renderings of these values, and so say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Evidence
from tfcanary.core.record import Event
from tfcanary.core.timeline import Timeline
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.histogram import Pair
from tfcanary.report.plots.over_time import Mark
from tfcanary.report.plots.time_axis import Band
from tfcanary.report.plots.waits import Wait
from tfcanary.report.signature_table import SignaturePairs

NAME = 160
"""Characters of a name, an id or a heading that are shown: whoever renders cuts the rest off and says so."""
SENTENCE = 800
"""Characters of any other text that are shown."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A word with its colour and sign."""

    tone: Tone
    word: str


@dataclass(frozen=True, slots=True)
class Code:
    """An id, a path or a digest: shown letter by letter."""

    text: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something with a smaller remark beneath it."""

    main: str | Badge | Code
    note: str


Cell = str | Badge | Code | Noted


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `width` in pixels, 0 for an equal part of what is left."""

    heading: str
    width: int = 0
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or two of our own or of a part that looked."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one a line."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Criteria:
    """Evidence with intervals: pictures in HTML, a table in Markdown."""

    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class History:
    """A release over time."""

    timeline: Timeline
    events: tuple[Event, ...] = ()
    """Where the timeline has no points, the weights come from here."""
    bands: tuple[Band, ...] = ()
    marks: tuple[Mark, ...] = ()
    criteria: Mapping[str, Evidence] = field(default_factory=dict)
    """The last evidence by id: unit, tolerance and margin of each interval."""


@dataclass(frozen=True, slots=True)
class Signatures:
    """Two signatures side by side."""

    pairs: SignaturePairs


@dataclass(frozen=True, slots=True)
class Histogram:
    """Two distributions over each other; Markdown lists where they differ most."""

    name: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Waits:
    """How long things take, beside the least and the most time that there is, in seconds; Markdown lists them."""

    waits: tuple[Wait, ...]
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Fold:
    """What need not be seen at once; Markdown shows it all."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A named part of a section."""

    heading: str
    badge: Badge | None
    blocks: tuple[Block, ...]


Block = Table | Paragraph | Facts | Criteria | History | Signatures | Histogram | Waits | Fold | Part


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands beneath it."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report: the answer first, then one sentence why, then what it rests on."""

    title: str
    about: str
    """What was judged, above the answer."""
    answer: Badge
    why: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
