"""The page of a verdict: what the judge decided at one stage."""

from __future__ import annotations

from tfcanary.core.domain import Verdict
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import HistoryChart, ReportPage, Section
from tfcanary.report.evidence_blocks import absent_section, evidence_blocks
from tfcanary.report.history import decision_marks, stage_bands, weight_changes
from tfcanary.report.numbers import moment
from tfcanary.report.wording import sentence, tally, verdict_answer


def verdict_page(verdict: Verdict, title: str, timeline: Timeline | None) -> ReportPage:
    """Return the page: decision, reason, the criteria with their intervals, the pictures over time, and what was not checked."""
    blocks = evidence_blocks(verdict.evidence, fold=False)
    sections = [Section("Criteria", blocks)] if blocks else []
    if timeline and timeline.points:
        criteria = {e.about: e for e in verdict.evidence}
        history = HistoryChart(
            timeline, bands=stage_bands(timeline), marks=decision_marks((verdict,), weight_changes(timeline, ())), criteria=criteria
        )
        sections.append(Section("Over time", (history,)))
    at = (("decided", moment(verdict.at)),) if verdict.at else ()
    return ReportPage(
        title=title,
        about=title,
        answer=verdict_answer(verdict),
        why=sentence(verdict.reason),
        facts=(("stage", str(verdict.stage)), ("weight", f"{verdict.weight} %"), *tally(verdict.evidence), *at),
        sections=(*sections, *absent_section(verdict.absent)),
    )
