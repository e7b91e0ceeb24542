"""The judges side by side as a picture: healthy canaries rolled back, bad ones promoted."""

from __future__ import annotations

from collections.abc import Sequence

from bench.judge import measures as m
from bench.judge.contestants import ENTRIES
from bench.judge.runner import CellResult
from tfcanary.report.plots.markup import Markup, element, picture

WIDTH, NAMES, ROW, BAR = 860, 330, 46, 14
"""Pixels: width of the whole, width of the column of the names, height of a judge, height of one of its bars."""
TOP, BOTTOM = 58, 34
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.small { font-size: 11px; fill: #52606d }
.healthy { fill: #c2410c } .bad { fill: #1d4ed8 } .grid { stroke: #cbd2d9 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .small { fill: #9aa5b1 } .grid { stroke: #3e4c59 } .healthy { fill: #fb923c } .bad { fill: #60a5fa }
}
"""


def draw(cells: Sequence[CellResult], caption: str) -> str:
    """Return an SVG file with two bars for each judge, from 0 to 100 %."""
    keys = [key for key in ENTRIES if any(key in result.outcomes for result in cells)]
    healthy = m.select(cells, lambda result: result.cell.fault.is_good and result.cell.law.name == "noisy" and not result.cell.is_stress)
    bad = m.select(cells, m.is_bad)
    rows = [(key, m.rate(healthy, key, "rollback").share, m.rate(bad, key, "promote").share) for key in keys]
    height = TOP + ROW * len(rows) + BOTTOM
    drawn = picture(
        "How often each judge is wrong",
        "; ".join(f"{_title(key)}: {_share(x)} of healthy canaries rolled back, {_share(y)} of bad ones promoted" for key, x, y in rows),
        element("style", STYLE),
        *_legend(),
        *_grid(height - BOTTOM),
        *(part for i, row in enumerate(rows) for part in _row(TOP + ROW * i, *row)),
        element("text", caption, x=8, y=height - 10, class_="small"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
    )
    return drawn.text + "\n"


def _title(key: str) -> str:
    return ENTRIES[key].title.replace("*", "")


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"


def _legend() -> list[Markup]:
    words = (("healthy", "healthy canaries rolled back (noisy service)"), ("bad", "bad canaries promoted (all faults, all loads)"))
    parts = []
    for i, (kind, label) in enumerate(words):
        x = 8 + 330 * i
        parts += [element("rect", x=x, y=10, width=12, height=12, class_=kind), element("text", label, x=x + 18, y=21)]
    return parts


def _grid(bottom: float) -> list[Markup]:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = NAMES + share * _room()
        parts += [
            element("line", x1=x, x2=x, y1=TOP - 8, y2=bottom - 6, class_="grid"),
            element("text", f"{100 * share:.0f} %", x=x, y=TOP - 14, text_anchor="middle", class_="small"),
        ]
    return parts


def _room() -> float:
    return WIDTH - NAMES - 62.0


def _row(y: float, key: str, healthy: float, bad: float) -> list[Markup]:
    parts = [element("text", _title(key), x=NAMES - 10, y=y + BAR + 4, text_anchor="end")]
    for i, (kind, share) in enumerate((("healthy", healthy), ("bad", bad))):
        top, length = y + i * (BAR + 2), share * _room()
        parts += [
            element("rect", x=NAMES, y=top, width=max(length, 1.0), height=BAR, class_=kind),
            element("text", _share(share), x=NAMES + length + 6, y=top + BAR - 3, class_="small"),
        ]
    return parts
