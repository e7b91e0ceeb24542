"""The Grafana dashboard: one release of one model on a page."""

from __future__ import annotations

from typing import Any

from tfcanary.run.monitor import panels
from tfcanary.run.monitor.dashboard_rows import MODEL, ROWS, newest
from tfcanary.run.monitor.panels import Panel

UID = "tfcanary-release"
SCHEMA = 39
"""Of Grafana 10.4; later ones read it, too."""
VARIABLES_FROM = "tfcanary_record_read_timestamp_seconds"
"""The metric that every exporter has of every model."""

Json = dict[str, Any]


def _annotation(name: str, metric: str, label: str, title: str, colour: str) -> Json:
    """At the instant that a series says: a series may be scraped long after."""
    expr = f"{newest(metric, 'version', label)} * 1000"
    return {
        "name": name,
        "datasource": panels.SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "step": "15s",
        "titleFormat": title,
        "textFormat": "{{model}}, version {{version}}",
        "tagKeys": label,
        "useValueForTime": True,
        "target": {"refId": "Anno", "expr": expr, "range": True},
    }


def marks() -> list[Json]:
    """Beginnings of stages, and ends of releases."""
    return [
        _annotation("stages", "tfcanary_stage_began_timestamp_seconds", "stage", "stage {{stage}}", "blue"),
        _annotation("verdicts", "tfcanary_release_over_timestamp_seconds", "outcome", "{{outcome}}", "purple"),
    ]


def variables() -> list[Json]:
    """What one may choose."""
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0}
    return [
        source,
        _values("namespace", "Namespace", f"label_values({VARIABLES_FROM}, namespace)"),
        _values("model", "Model", f'label_values({VARIABLES_FROM}{{namespace=~"$namespace"}}, model)'),
        _values("criterion", "Criterion", f"label_values(tfcanary_criterion_estimate_ratio{{{MODEL}}}, criterion)", every=True),
    ]


def _values(name: str, label: str, query: str, every: bool = False) -> Json:
    """One of the label's values, or `every` one that was not deselected; a namespace may be empty, and a query without one is right then."""
    current = {"text": ["All"], "value": ["$__all"]} if every else {}
    asked = {"query": query, "refId": "Variable"}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": panels.SOURCE,
        "query": asked,
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "includeAll": every,
        "multi": every,
        "current": current,
    }


def dashboard() -> Json:
    """The whole of it."""
    placed: list[Json] = []
    y = 0
    for title, of in ROWS.items():
        placed.append(panels.row(title, len(placed) + 1, y))
        y = _fill(placed, of(), y + 1)
    builtin = {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }
    return {
        "uid": UID,
        "title": "tfcanary: a release",
        "description": "Canary releases of TensorFlow Serving models. Made by `python -m tfcanary.run.monitor`.",
        "tags": ["tfcanary"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "15s",
        "timezone": "",
        "timepicker": {},
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "links": [],
        "annotations": {"list": [builtin, *marks()]},
        "templating": {"list": variables()},
        "panels": placed,
    }


def _fill(placed: list[Json], of: list[Panel], y: int) -> int:
    """Put panels side by side, line by line; returns where the next line begins."""
    x, height = 0, 0
    for one in of:
        if x + one.width > 24 or one.repeat:
            x, y, height = 0, y + height, 0
        placed.append(one.placed(len(placed) + 1, x, y))
        x, height = (24, one.height) if one.repeat else (x + one.width, max(height, one.height))
    return y + height
