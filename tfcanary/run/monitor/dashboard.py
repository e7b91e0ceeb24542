"""The Grafana dashboard, which shows one release of one model."""

from __future__ import annotations

from typing import Any

from tfcanary.run.monitor import panels
from tfcanary.run.monitor.dashboard_rows import MODEL, ROWS, newest
from tfcanary.run.monitor.panels import Panel

UID = "tfcanary-release"
SCHEMA = 39
"""The version of the dashboard's schema: Grafana 10.4 has it, and later ones read it, too."""
VARIABLES_FROM = "tfcanary_record_read_timestamp_seconds"
"""The metric from which the variables take their values: every exporter has it for every model."""

Json = dict[str, Any]


def _annotation(name: str, metric: str, label: str, title: str, colour: str) -> Json:
    """Marks on every graph at the instants that are the values of a metric, whenever they were scraped."""
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
    """Return the annotations of the beginnings of stages and of the ends of releases."""
    return [
        _annotation("stages", "tfcanary_stage_began_timestamp_seconds", "stage", "stage {{stage}}", "blue"),
        _annotation("verdicts", "tfcanary_release_over_timestamp_seconds", "outcome", "{{outcome}}", "purple"),
    ]


def variables() -> list[Json]:
    """Return the variables that a person may choose."""
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0}
    return [
        source,
        _values("namespace", "Namespace", f"label_values({VARIABLES_FROM}, namespace)"),
        _values("model", "Model", f'label_values({VARIABLES_FROM}{{namespace=~"$namespace"}}, model)'),
        _values("criterion", "Criterion", f"label_values(tfcanary_criterion_estimate_ratio{{{MODEL}}}, criterion)", every=True),
    ]


def _values(name: str, label: str, query: str, every: bool = False) -> Json:
    """A variable with one value of a label, or, with `every`, with all that were not deselected. An empty namespace is a value, too."""
    current = {"text": ["All"], "value": ["$__all"]} if every else {}
    reference = {"query": query, "refId": "Variable"}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": panels.SOURCE,
        "query": reference,
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "includeAll": every,
        "multi": every,
        "current": current,
    }


def dashboard() -> Json:
    """Return the whole dashboard as Grafana's JSON."""
    laid_out: list[Json] = []
    y = 0
    for title, of in ROWS.items():
        laid_out.append(panels.row(title, len(laid_out) + 1, y))
        y = _lay_out(laid_out, of(), y + 1)
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
        "panels": laid_out,
    }


def _lay_out(laid_out: list[Json], of: list[Panel], y: int) -> int:
    """Append panels side by side, line by line, from row `y` on; returns the row below them."""
    x, height = 0, 0
    for one in of:
        if x + one.width > 24 or one.repeat:
            x, y, height = 0, y + height, 0
        laid_out.append(one.to_json(len(laid_out) + 1, x, y))
        x, height = (24, one.height) if one.repeat else (x + one.width, max(height, one.height))
    return y + height
