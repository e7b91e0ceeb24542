"""The panels that a dashboard is made of, as Grafana's JSON: one small function a kind of panel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
TRACKS = {"stable": "blue", "canary": "orange"}
"""Colours that also the colour-blind tell apart."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One question, and what its answers are called."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel without its place."""

    kind: str
    title: str
    description: str
    queries: Sequence[Query]
    width: int
    height: int = 8
    defaults: Json = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    options: Json = field(default_factory=dict)
    repeat: str = ""
    """A variable; for each of its values there is one panel."""

    def placed(self, number: int, x: int, y: int) -> Json:
        """As Grafana reads it."""
        targets = [
            {
                "refId": chr(ord("A") + i),
                "datasource": SOURCE,
                "editorMode": "code",
                "expr": one.expr,
                "legendFormat": one.legend or "__auto",
                "instant": one.instant,
                "range": not one.instant,
            }
            for i, one in enumerate(self.queries)
        ]
        shown = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": self.defaults, "overrides": list(self.overrides)},
            "options": self.options,
            "targets": targets,
        }
        return {**shown, **({"repeat": self.repeat, "repeatDirection": "h", "maxPerRow": 24 // self.width} if self.repeat else {})}


def row(title: str, number: int, y: int) -> Json:
    """A heading."""
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []}


def words(of: Mapping[int, tuple[str, str]]) -> list[Json]:
    """What a number means: its text and its colour."""
    return [{"type": "value", "options": {str(n): {"text": text, "color": colour, "index": n} for n, (text, colour) in of.items()}}]


def steps(*steps: tuple[float | None, str]) -> Json:
    """From which value on which colour."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def lines(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    width: int = 12,
    overrides: Iterable[Json] = (),
    repeat: str = "",
    **defaults: Any,
) -> Panel:
    """Values over time."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 0,
        "showPoints": "never",
        "spanNulls": False,
        "lineInterpolation": "linear",
    }
    custom |= defaults.pop("custom", {})
    return Panel(
        "timeseries",
        title,
        description,
        queries,
        width,
        defaults={"unit": unit, "custom": custom, "color": {"mode": "palette-classic"}, **defaults},
        overrides=tuple(overrides),
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        repeat=repeat,
    )


def timeline(
    title: str, description: str, queries: Sequence[Query], meanings: Mapping[int, tuple[str, str]], width: int, height: int
) -> Panel:
    """States over time, one band a series."""
    return Panel(
        "state-timeline",
        title,
        description,
        queries,
        width,
        height,
        defaults={
            "mappings": words(meanings),
            "color": {"mode": "fixed", "fixedColor": "text"},
            "custom": {"fillOpacity": 75, "lineWidth": 0},
        },
        options={
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.8,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def stat(
    title: str,
    description: str,
    query: Query,
    width: int,
    unit: str = "none",
    thresholds: Json | None = None,
    text: str = "value",
    **defaults: Any,
) -> Panel:
    """One value, large; `text`: `name` shows what it is called instead."""
    by_threshold = {"mode": "thresholds"}
    return Panel(
        "stat",
        title,
        description,
        [query],
        width,
        4,
        defaults={"unit": unit, "color": by_threshold, "thresholds": thresholds or steps((None, "text")), "noValue": "–", **defaults},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": text,
            "justifyMode": "center",
            "orientation": "auto",
        },
    )


def bars(title: str, description: str, query: Query, width: int, unit: str, overrides: Iterable[Json] = (), **defaults: Any) -> Panel:
    """The present values side by side."""
    return Panel(
        "bargauge",
        title,
        description,
        [query],
        width,
        defaults={"unit": unit, "color": {"mode": "palette-classic"}, "thresholds": steps((None, "blue")), **defaults},
        overrides=tuple(overrides),
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "displayMode": "basic",
            "orientation": "horizontal",
            "showUnfilled": True,
            "valueMode": "text",
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "sizing": "auto",
        },
    )


def colour(name: str, colour: str) -> Json:
    """Of the series of a name."""
    return _of({"id": "byName", "options": name}, color={"mode": "fixed", "fixedColor": colour})


def colours(pattern: str, colour: str, **custom: Any) -> Json:
    """Of the series whose name is like the pattern, and how their line is drawn."""
    return _of({"id": "byRegexp", "options": pattern}, color={"mode": "fixed", "fixedColor": colour}, **custom)


def dashed(name: str, colour: str) -> Json:
    """A bound, not a measurement."""
    look = {"custom.lineStyle": {"fill": "dash", "dash": [8, 6]}, "custom.lineWidth": 1}
    return _of({"id": "byName", "options": name}, color={"mode": "fixed", "fixedColor": colour}, **look)


def stroked(pattern: str, *dash: int) -> Json:
    """The line of the series whose name is like the pattern: dots and gaps of so many pixels."""
    return _of({"id": "byRegexp", "options": pattern}, **{"custom.lineStyle": {"fill": "dash", "dash": list(dash)}})


def band(high: str, low: str, colour: str) -> list[Json]:
    """The space between two series, filled."""
    faint = {"color": {"mode": "fixed", "fixedColor": colour}, "custom.lineWidth": 0}
    return [
        _of({"id": "byName", "options": high}, **faint, **{"custom.fillBelowTo": low, "custom.fillOpacity": 20}),
        _of({"id": "byName", "options": low}, **faint),
    ]


def by_track() -> list[Json]:
    """Each track in its colour, whatever else the name of its series says."""
    return [colours(f"/^{track}/", of) for track, of in TRACKS.items()]


def _of(matcher: Json, **properties: Any) -> Json:
    return {"matcher": matcher, "properties": [{"id": name, "value": value} for name, value in properties.items()]}
