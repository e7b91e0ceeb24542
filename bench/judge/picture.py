"""The judges side by side as a picture: healthy canaries rolled back, bad ones promoted, in the noises and in the worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.judge import measures as m
from bench.judge.contestants import ENTRIES
from bench.judge.runner import CellResult
from bench.judge.scenarios import is_on_margin
from tfcanary.report.plots.markup import Markup, element, picture

WIDTH, NAMES, BAR = 860, 330, 14
"""Pixels: width of the whole, width of the column of the names, height of one bar of a judge."""
TOP, BOTTOM = 80, 34
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.small { font-size: 11px; fill: #52606d }
.healthy { fill: #c2410c } .unlike { fill: #a16207 } .bad { fill: #1d4ed8 } .margin { fill: #0f766e } .grid { stroke: #cbd2d9 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .small { fill: #9aa5b1 } .grid { stroke: #3e4c59 }
  .healthy { fill: #fb923c } .unlike { fill: #facc15 } .bad { fill: #60a5fa } .margin { fill: #2dd4bf }
}
"""


@dataclass(frozen=True)
class Bar:
    """What one bar of each judge shows: a rate over some of the cells."""

    kind: str
    label: str
    of: Callable[[CellResult], bool]
    answer: str


BARS = (
    Bar("healthy", "healthy rolled back, noisy service", lambda result: result.cell.fault.is_good and _is_noisy(result), "rollback"),
    Bar(
        "unlike",
        "healthy rolled back, servers that differ and other shapes",
        lambda result: result.cell.fault.is_good and result.cell.in_world,
        "rollback",
    ),
    Bar("bad", "bad promoted, all faults and loads", lambda result: m.is_bad(result) and not result.cell.in_world, "promote"),
    Bar(
        "margin",
        "10 % slower promoted, servers that differ and other shapes",
        lambda result: is_on_margin(result.cell) and result.cell.in_world,
        "promote",
    ),
)
ROW = (BAR + 2) * len(BARS) + 14
"""Pixels: height of a judge."""


def _is_noisy(result: CellResult) -> bool:
    return result.cell.law.name == "noisy" and not result.cell.is_stress


def draw(cells: Sequence[CellResult], caption: str) -> str:
    """Return an SVG file with four bars for each judge, from 0 to 100 %."""
    keys = [key for key in ENTRIES if any(key in result.outcomes for result in cells)]
    rows = [(key, [m.rate(m.select(cells, bar.of), key, bar.answer).share for bar in BARS]) for key in keys]
    height = TOP + ROW * len(rows) + BOTTOM
    drawn = picture(
        "How often each judge is wrong",
        "; ".join(f"{_title(key)}: {_described(shares)}" for key, shares in rows),
        element("style", STYLE),
        *_legend(),
        *_grid(height - BOTTOM),
        *(part for i, (key, shares) in enumerate(rows) for part in _row(TOP + ROW * i, key, shares)),
        element("text", caption, x=8, y=height - 10, class_="small"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
    )
    return drawn.text + "\n"


def _described(shares: Sequence[float]) -> str:
    return ", ".join(f"{bar.label} {_share(share)}" for bar, share in zip(BARS, shares, strict=True))


def _title(key: str) -> str:
    return ENTRIES[key].title.replace("*", "")


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"


def _legend() -> list[Markup]:
    parts = []
    for i, bar in enumerate(BARS):
        x, y = 8 + 400 * (i % 2), 10 + 22 * (i // 2)
        parts += [element("rect", x=x, y=y, width=12, height=12, class_=bar.kind), element("text", bar.label, x=x + 18, y=y + 11)]
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


def _row(y: float, key: str, shares: Sequence[float]) -> list[Markup]:
    parts = [element("text", _title(key), x=NAMES - 10, y=y + (ROW - 14) / 2 + 4, text_anchor="end")]
    for i, (bar, share) in enumerate(zip(BARS, shares, strict=True)):
        top, length = y + i * (BAR + 2), share * _room()
        parts += [
            element("rect", x=NAMES, y=top, width=max(length, 1.0), height=BAR, class_=bar.kind),
            element("text", _share(share), x=NAMES + length + 6, y=top + BAR - 3, class_="small"),
        ]
    return parts
