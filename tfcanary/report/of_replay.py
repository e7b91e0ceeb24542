"""The page of a replay: the judge's last decision, and its decisions minute by minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tfcanary.core.domain import Verdict
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import Cell, Paragraph, ReportPage, Section, Table, TableColumn
from tfcanary.report.numbers import duration, plain
from tfcanary.report.of_verdict import verdict_page
from tfcanary.report.wording import decision_badge

_COLUMNS = (
    TableColumn("Time", 110, numeric=True),
    TableColumn("Weight", 84, numeric=True),
    TableColumn("Canary requests", 120, numeric=True),
    TableColumn("Decision", 120),
    TableColumn("Reason"),
)


def replay_page(last: Verdict, by_minute: Sequence[Verdict], timeline: Timeline, title: str, note: str) -> ReportPage:
    """Return the page of the last verdict, with a section of the decisions minute by minute; `note` says what was replayed."""
    page = verdict_page(last, title, timeline)
    rows: list[tuple[Cell, ...]] = []
    for verdict in by_minute:
        time, weight, requests, _, reason = minute_row(verdict, by_minute[0].at, timeline)
        rows.append((time, weight, requests, decision_badge(verdict), reason))
    minutes = Section("Minute by minute", (Paragraph(note, quiet=True), Table(_COLUMNS, tuple(rows))))
    return replace(page, sections=(*page.sections[:1], minutes, *page.sections[1:]))


def minute_row(verdict: Verdict, first: datetime | None, timeline: Timeline) -> tuple[str, str, str, str, str]:
    """Return one row of the table: time since the first poll, weight, canary requests so far, decision and reason."""
    time = duration(verdict.at - first) if verdict.at and first else ""
    points = [point for point in timeline.points if verdict.at and point.at <= verdict.at]
    requests = plain(round(points[-1].canary_requests)) if points else "0"
    return time, f"{verdict.weight} %", requests, verdict.decision.value, verdict.reason
