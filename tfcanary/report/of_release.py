"""The page of a whole release, from its record: first how it ended and why, then all evidence."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Finding, Look
from tfcanary.core.record import Record, Release
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import (
    Badge,
    Cell,
    CellWithNote,
    Code,
    Fold,
    HistoryChart,
    Paragraph,
    ReportPage,
    Section,
    Subsection,
    Table,
    TableColumn,
)
from tfcanary.report.departures import Departure, departures
from tfcanary.report.evidence_blocks import absent_section, evidence_blocks
from tfcanary.report.history import decision_marks, stage_bands, weight_changes
from tfcanary.report.numbers import clock, duration, moment, plain
from tfcanary.report.of_look import signature_section
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.text import cut
from tfcanary.report.provenance import earlier_section, provenance_section
from tfcanary.report.signature_table import SignaturePairs
from tfcanary.report.stage_table import stages_section
from tfcanary.report.wording import (
    canary_requests,
    ended_badge,
    ended_name,
    gate_answer,
    last_verdict,
    look_reason,
    release_answer,
    release_reason,
    sentence,
    tally_words,
)

_GATES = ("validate", "push", "deploy", "compare")
_EVENTS = 100
_MODEL = 80


def release_page(
    record: Record, timeline: Timeline | None, pairs: SignaturePairs | None = None, brief: bool = False, run_id: str = ""
) -> ReportPage:
    """Return the page of the active release, or of the last one; `brief` omits all sections.

    With `run_id`, the page of that run: where the record holds another release, `page_without_release`.
    """
    release = record.release
    if run_id and (release is None or release.run_id != run_id) and (release or record.refusal(run_id)):
        return page_without_release(record, release, run_id)
    if release is None:
        answer = Badge(Tone.PLAIN, "No release yet")
        return ReportPage(record.model, record.model, answer, "Nothing was ever released under this name.", (), earlier_section(record))
    candidate = f"version {release.candidate.number}" if release.candidate else cut(release.export.uri, _MODEL)
    about = f"Release of {cut(record.model, _MODEL)}{f', {candidate}' if candidate else ''}"
    return ReportPage(
        title=about,
        about=about,
        answer=release_answer(release),
        why=sentence(release_reason(release)),
        facts=tuple(_facts(release, timeline)),
        sections=() if brief else tuple(_sections(record, release, timeline or Timeline(), pairs)),
    )


def page_without_release(record: Record, other: Release | None, run_id: str) -> ReportPage:
    """Return the page of a run whose release is not the record's: the end of an earlier release, or the refusal of one that never began."""
    about = f"Run {cut(run_id, _MODEL)} of {cut(record.model, _MODEL)}"
    ended = next((one for one in record.history if one.run_id == run_id), None)
    if ended:
        badge = ended_badge(ended)
        past = (("candidate", ended_name(ended)), ("began", moment(ended.began)), ("ended", moment(ended.ended)))
        return ReportPage(about, about, Badge(badge.tone, badge.word.capitalize()), sentence(ended.reason), past, earlier_section(record))
    refusal = record.refusal(run_id)
    why = f"This run began no release and changed nothing{f': {refusal.reason}' if refusal else _unsaid(other)}"
    shown = (("release in the record", f"{cut(other.run_id, _MODEL)}: {other.state.value}"),) if other else ()
    facts = (("run", cut(run_id, _MODEL)), *shown)
    return ReportPage(about, about, Badge(Tone.DOUBT, "Refused before it began"), sentence(why), facts, earlier_section(record))


def _unsaid(other: Release | None) -> str:
    """What is known of a run that left no word: where its reason stands, and which release the record holds."""
    where = "; the log of its first failed step has the reason"
    if other is None:
        return where
    held = "is the last release of the model" if other.state.ended else "is active, and a model has one active release at a time"
    return f"{where}. Release {other.run_id!r} {held}"


def _facts(release: Release, timeline: Timeline | None) -> Iterator[tuple[str, str]]:
    requests = canary_requests(release, timeline)
    yield "canary requests", "not counted" if requests is None else plain(requests)
    yield "highest weight", f"{max((e.weight for e in release.events), default=release.weight)} %"
    if release.first_traffic and release.ended:
        yield "first traffic to the end", duration(release.ended - release.first_traffic)
    yield "began", moment(release.began)
    if release.override:
        yield "windows overridden", release.override
    if release.ended:
        yield "ended", moment(release.ended)


def _sections(record: Record, release: Release, timeline: Timeline, pairs: SignaturePairs | None) -> Iterator[Section]:
    has_history = timeline.points or release.stage >= 0
    if has_history:
        yield _over_time(release, timeline)
    yield from stages_section(release, timeline)
    verdict = last_verdict(release)
    if verdict and (blocks := evidence_blocks(verdict.evidence, fold=False)):
        yield Section(f"Criteria at stage {verdict.stage}", blocks)
    yield from _gates(release)
    yield from signature_section(pairs)
    if release.events and not has_history:
        yield Section("Events", (_events(release),))
    yield _plan(release)
    verdicts, looks = (*release.watched, *release.verdicts), release.looks.values()
    yield from absent_section([*(a for look in looks for a in look.absent), *(a for v in verdicts for a in v.absent)])
    yield provenance_section(record, release)
    yield from earlier_section(record)


def _over_time(release: Release, timeline: Timeline) -> Section:
    verdict = last_verdict(release)
    criteria = {e.about: e for e in verdict.evidence} if verdict else {}
    verdicts = {v.stage: v for v in (*release.verdicts, *release.watched)}.values()
    marks = decision_marks(verdicts, weight_changes(timeline, release.events))
    history = HistoryChart(timeline, release.events, stage_bands(timeline), marks, criteria)
    return Section("Over time", (history, Fold(f"{plain(len(release.events))} events", (_events(release),))))


def _events(release: Release) -> Table:
    rows: list[tuple[Cell, ...]] = [(clock(e.at), f"{e.weight} %", e.what) for e in release.events[-_EVENTS:]]
    return Table((TableColumn("Time (UTC)", 84), TableColumn("Weight", 72, numeric=True), TableColumn("Event")), tuple(rows))


def _gates(release: Release) -> Iterator[Section]:
    looks = sorted(release.looks.items(), key=lambda item: (_GATES.index(item[0]) if item[0] in _GATES else len(_GATES), item[0]))
    if looks:
        yield Section("Gates", tuple(_gate(step, look) for step, look in looks))


def _gate(step: str, look: Look) -> Subsection:
    """Return a gate with its evidence, the worst first; the evidence of a gate that passed is folded."""
    if look.finding is not Finding.PASS and look.evidence:
        return Subsection(step, gate_answer(look), evidence_blocks(look.evidence))
    evidence = evidence_blocks(look.evidence, fold=False)
    folded = (Fold(f"Evidence: {tally_words(look.evidence)}", evidence),) if evidence else ()
    return Subsection(step, gate_answer(look), (Paragraph(look_reason(look)), *folded))


def _plan(release: Release) -> Section:
    """Return a section with the fields of the plan that differ from the defaults; those that make the plan weaker come first."""
    found = departures(release.plan)
    weaker = sum(d.weaker for d in found)
    if not found:
        return Section("Plan", (Paragraph("Every field of the plan had its default."),))
    summary = "No field makes the plan weaker than the defaults."
    if weaker:
        places = "one place" if weaker == 1 else f"{plain(weaker)} places"
        summary = f"Weaker than the defaults in {places}: a pass of this release proves less than a pass usually does."
    columns = (TableColumn("Field"), TableColumn("Default", 130), TableColumn("This release"), TableColumn("Effect", 130))
    rows = tuple(_departure_row(d) for d in sorted(found, key=lambda d: not d.weaker))
    return Section("Plan", (Paragraph(summary), Table(columns, rows)))


def _departure_row(departure: Departure) -> tuple[Cell, ...]:
    effect = departure.effect
    meaning: Cell = CellWithNote(Badge(Tone.WARN, "weaker"), effect) if departure.weaker else effect or "a choice"
    return Code(departure.field), departure.default, departure.here, meaning
