"""Grafana's panels as JSON: one small function for each kind of panel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
TRACKS = {"stable": "blue", "canary": "orange"}
"""The colours of the tracks, which colour-blind people can tell apart, too."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One query, and the legend of its series."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel without its place on the dashboard."""

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
    """A variable of the dashboard; Grafana draws one panel for each of its values."""

    def to_json(self, number: int, x: int, y: int) -> Json:
        """Return the panel as Grafana reads it, with its id and its place in columns and rows."""
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
        panel = {
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
        return {**panel, **({"repeat": self.repeat, "repeatDirection": "h", "maxPerRow": 24 // self.width} if self.repeat else {})}


def row(title: str, number: int, y: int) -> Json:
    """Return a heading at row `y`."""
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []}


def value_texts(of: Mapping[int, tuple[str, str]]) -> list[Json]:
    """Return the value mappings that show a text and a colour for each number."""
    return [{"type": "value", "options": {str(n): {"text": text, "color": colour, "index": n} for n, (text, colour) in of.items()}}]


def thresholds(*steps: tuple[float | None, str]) -> Json:
    """Return the thresholds from which on each colour is used."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def time_series(
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    width: int = 12,
    overrides: Iterable[Json] = (),
    repeat: str = "",
    **defaults: Any,
) -> Panel:
    """Return a panel that draws values over time as lines."""
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


def state_timeline(
    title: str, description: str, queries: Sequence[Query], meanings: Mapping[int, tuple[str, str]], width: int, height: int
) -> Panel:
    """Return a panel that draws states over time, one band for each series."""
    return Panel(
        "state-timeline",
        title,
        description,
        queries,
        width,
        height,
        defaults={
            "mappings": value_texts(meanings),
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
    limits: Json | None = None,
    text: str = "value",
    **defaults: Any,
) -> Panel:
    """Return a panel with one large value; with `text` as `name` it shows the series' legend instead."""
    by_threshold = {"mode": "thresholds"}
    return Panel(
        "stat",
        title,
        description,
        [query],
        width,
        4,
        defaults={"unit": unit, "color": by_threshold, "thresholds": limits or thresholds((None, "text")), "noValue": "–", **defaults},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": text,
            "justifyMode": "center",
            "orientation": "auto",
        },
    )


def bar_gauge(title: str, description: str, query: Query, width: int, unit: str, overrides: Iterable[Json] = (), **defaults: Any) -> Panel:
    """Return a panel that draws the present values side by side."""
    return Panel(
        "bargauge",
        title,
        description,
        [query],
        width,
        defaults={"unit": unit, "color": {"mode": "palette-classic"}, "thresholds": thresholds((None, "blue")), **defaults},
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
    """Return the override that colours the series of a name."""
    return _override({"id": "byName", "options": name}, color={"mode": "fixed", "fixedColor": colour})


def colours(pattern: str, colour: str, **custom: Any) -> Json:
    """Return the override that colours the series whose names match a pattern, and sets how their lines are drawn."""
    return _override({"id": "byRegexp", "options": pattern}, color={"mode": "fixed", "fixedColor": colour}, **custom)


def bound_line(name: str, colour: str) -> Json:
    """Return the override that draws a series as a thin dashed line: a bound, and no measurement."""
    look = {"custom.lineStyle": {"fill": "dash", "dash": [8, 6]}, "custom.lineWidth": 1}
    return _override({"id": "byName", "options": name}, color={"mode": "fixed", "fixedColor": colour}, **look)


def dash_pattern(pattern: str, *dash: int) -> Json:
    """Return the override that dashes the lines of the series whose names match a pattern; `dash` holds dashes and gaps in pixels."""
    return _override({"id": "byRegexp", "options": pattern}, **{"custom.lineStyle": {"fill": "dash", "dash": list(dash)}})


def band(high: str, low: str, colour: str) -> list[Json]:
    """Return the overrides that fill the space between two series."""
    faint = {"color": {"mode": "fixed", "fixedColor": colour}, "custom.lineWidth": 0}
    return [
        _override({"id": "byName", "options": high}, **faint, **{"custom.fillBelowTo": low, "custom.fillOpacity": 20}),
        _override({"id": "byName", "options": low}, **faint),
    ]


def colours_of_tracks() -> list[Json]:
    """Return the overrides that draw each track in its colour, by the beginning of its series' names."""
    return [colours(f"/^{track}/", of) for track, of in TRACKS.items()]


def _override(matcher: Json, **properties: Any) -> Json:
    return {"matcher": matcher, "properties": [{"id": name, "value": value} for name, value in properties.items()]}
