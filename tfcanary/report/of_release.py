"""The report of a whole release, from its record: how it ended and why first, then everything that this rests on."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Finding, Look
from tfcanary.core.record import Record, Release
from tfcanary.core.timeline import Timeline
from tfcanary.report.blocks import Badge, Cell, Code, Column, Fold, History, Noted, Page, Paragraph, Part, Section, Table
from tfcanary.report.departures import Departure, departures
from tfcanary.report.evidence_blocks import absent_section, evidence_blocks
from tfcanary.report.history import bands, marks_of
from tfcanary.report.numbers import clock, duration, moment, plain
from tfcanary.report.of_look import signature_section
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.text import cut
from tfcanary.report.provenance import earlier_section, provenance_section
from tfcanary.report.signature_table import SignaturePairs
from tfcanary.report.stage_table import stages_section
from tfcanary.report.wording import canary_requests, last_verdict, of_gate, of_release, sentence, tally_words, why, why_of_look

_GATES = ("validate", "push", "deploy", "compare")
_EVENTS = 100
_MODEL = 80


def release_page(record: Record, timeline: Timeline | None, pairs: SignaturePairs | None = None, brief: bool = False) -> Page:
    """The page of the release on the road, or of the last one; `brief`: without its sections."""
    release = record.release
    if release is None:
        none = Badge(Tone.PLAIN, "No release yet")
        said = "Nothing was ever released under this name."
        return Page(record.model, record.model, none, said, (), earlier_section(record))
    about = f"Release of {cut(record.model, _MODEL)}{f', version {release.candidate.number}' if release.candidate else ''}"
    return Page(
        title=about,
        about=about,
        answer=of_release(release),
        why=sentence(why(release)),
        facts=tuple(_facts(release, timeline)),
        sections=() if brief else tuple(_sections(record, release, timeline or Timeline(), pairs)),
    )


def _facts(release: Release, timeline: Timeline | None) -> Iterator[tuple[str, str]]:
    requests = canary_requests(release, timeline)
    yield "canary requests", "not counted" if requests is None else plain(requests)
    yield "highest weight", f"{max((e.weight for e in release.events), default=release.weight)} %"
    if release.first_traffic and release.ended:
        yield "first traffic to the end", duration(release.ended - release.first_traffic)
    yield "began", moment(release.began)
    if release.ended:
        yield "ended", moment(release.ended)


def _sections(record: Record, release: Release, timeline: Timeline, pairs: SignaturePairs | None) -> Iterator[Section]:
    drawn = timeline.points or release.stage >= 0
    if drawn:
        yield _over_time(release, timeline)
    yield from stages_section(release, timeline)
    verdict = last_verdict(release)
    if verdict and (blocks := evidence_blocks(verdict.evidence, fold=False)):
        yield Section(f"Criteria at stage {verdict.stage}", blocks)
    yield from _gates(release)
    yield from signature_section(pairs)
    if release.events and not drawn:
        yield Section("What happened", (_events(release),))
    yield _plan(release)
    verdicts, looks = (*release.watched, *release.verdicts), release.looks.values()
    yield from absent_section([*(a for look in looks for a in look.absent), *(a for v in verdicts for a in v.absent)])
    yield provenance_section(record, release)
    yield from earlier_section(record)


def _over_time(release: Release, timeline: Timeline) -> Section:
    verdict = last_verdict(release)
    criteria = {e.about: e for e in verdict.evidence} if verdict else {}
    verdicts = {v.stage: v for v in (*release.verdicts, *release.watched)}.values()
    history = History(timeline, release.events, bands(timeline), marks_of(verdicts), criteria)
    return Section("Over time", (history, Fold(f"What happened: {plain(len(release.events))} events", (_events(release),))))


def _events(release: Release) -> Table:
    rows: list[tuple[Cell, ...]] = [(clock(e.at), f"{e.weight} %", e.what) for e in release.events[-_EVENTS:]]
    return Table((Column("Time (UTC)", 84), Column("Weight", 72, numeric=True), Column("What")), tuple(rows))


def _gates(release: Release) -> Iterator[Section]:
    looks = sorted(release.looks.items(), key=lambda item: (_GATES.index(item[0]) if item[0] in _GATES else len(_GATES), item[0]))
    if looks:
        yield Section("Gates", tuple(_gate(step, look) for step, look in looks))


def _gate(step: str, look: Look) -> Part:
    """A gate that said no shows its evidence, the worst first; one that passed is folded behind its sentence."""
    if look.finding is not Finding.PASS and look.evidence:
        return Part(step, of_gate(look), evidence_blocks(look.evidence))
    evidence = evidence_blocks(look.evidence, fold=False)
    folded = (Fold(f"Evidence: {tally_words(look.evidence)}", evidence),) if evidence else ()
    return Part(step, of_gate(look), (Paragraph(why_of_look(look)), *folded))


def _plan(release: Release) -> Section:
    """The plan where it is not the default, the weakened places named first and aloud."""
    found = departures(release.plan)
    weaker = sum(d.weaker for d in found)
    if not found:
        return Section("Plan", (Paragraph("Every field of the plan had its default."),))
    said = "Nothing was made weaker than by default."
    if weaker:
        places = "one place" if weaker == 1 else f"{plain(weaker)} places"
        said = f"Weaker than the defaults in {places}: what passed here says less than it usually does."
    columns = (Column("Field"), Column("Default", 130), Column("This release"), Column("What that means", 130))
    rows = tuple(_departed(d) for d in sorted(found, key=lambda d: not d.weaker))
    return Section("Plan", (Paragraph(said), Table(columns, rows)))


def _departed(departure: Departure) -> tuple[Cell, ...]:
    effect = departure.effect
    meaning: Cell = Noted(Badge(Tone.WARN, "weaker"), effect) if departure.weaker else effect or "a choice"
    return Code(departure.field), departure.default, departure.here, meaning
