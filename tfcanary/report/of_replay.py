"""The page of a replay: what the judge would have said in the end, and minute by minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tfcanary.core.domain import Verdict
from tfcanary.core.timeline import Timeline
from tfcanary.report.as_html import as_html
from tfcanary.report.blocks import Cell, Column, Page, Paragraph, Section, Table
from tfcanary.report.numbers import duration, plain
from tfcanary.report.of_verdict import verdict_page
from tfcanary.report.wording import of_decision

_COLUMNS = (
    Column("After", 110, numeric=True),
    Column("Weight", 84, numeric=True),
    Column("Canary requests", 120, numeric=True),
    Column("The judge said", 120),
    Column("Why"),
)


def replay_html(last: Verdict, by_minute: Sequence[Verdict], timeline: Timeline, title: str, note: str) -> str:
    """The page; `note` says what was replayed."""
    return as_html(replay_page(last, by_minute, timeline, title, note))


def replay_page(last: Verdict, by_minute: Sequence[Verdict], timeline: Timeline, title: str, note: str) -> Page:
    """The last word first, as a verdict has it, then the way there."""
    page = verdict_page(last, title, timeline)
    rows: tuple[tuple[Cell, ...], ...] = tuple(_row(verdict, by_minute[0].at, timeline) for verdict in by_minute)
    told = Section("Minute by minute", (Paragraph(note, quiet=True), Table(_COLUMNS, rows)))
    return replace(page, sections=(*page.sections[:1], told, *page.sections[1:]))


def _row(verdict: Verdict, first: datetime | None, timeline: Timeline) -> tuple[Cell, ...]:
    after, weight, requests, _, why = minute(verdict, first, timeline)
    return after, weight, requests, of_decision(verdict.decision), why


def minute(verdict: Verdict, first: datetime | None, timeline: Timeline) -> tuple[str, str, str, str, str]:
    """One line: time since the first poll, weight, canary requests so far, the word, and why."""
    after = duration(verdict.at - first) if verdict.at and first else ""
    points = [point for point in timeline.points if verdict.at and point.at <= verdict.at]
    requests = plain(round(points[-1].canary_requests)) if points else "0"
    return after, f"{verdict.weight} %", requests, verdict.decision.value, verdict.reason
