"""The report of a verdict: what the judge decided at one stage."""

from __future__ import annotations

from tfcanary.core.domain import Verdict
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import History, Page, Section
from tfcanary.report.evidence_blocks import absent_section, evidence_blocks
from tfcanary.report.history import bands, marks_of
from tfcanary.report.numbers import moment
from tfcanary.report.wording import of_verdict, sentence, tally


def verdict_page(verdict: Verdict, title: str, timeline: Timeline | None) -> Page:
    """The decision first, why, the criteria with their intervals, the way there, and what was not asked."""
    blocks = evidence_blocks(verdict.evidence, fold=False)
    sections = [Section("Criteria", blocks)] if blocks else []
    if timeline and timeline.points:
        sections.append(Section("Over time", (_history(verdict, timeline),)))
    at = (("decided", moment(verdict.at)),) if verdict.at else ()
    return Page(
        title=title,
        about=title,
        answer=of_verdict(verdict.decision),
        why=sentence(verdict.reason),
        facts=(("stage", str(verdict.stage)), ("weight", f"{verdict.weight} %"), *tally(verdict.evidence), *at),
        sections=(*sections, *absent_section(verdict.absent)),
    )


def _history(verdict: Verdict, timeline: Timeline) -> History:
    criteria = {e.about: e for e in verdict.evidence}
    return History(timeline, bands=bands(timeline), marks=marks_of((verdict,)), criteria=criteria)
