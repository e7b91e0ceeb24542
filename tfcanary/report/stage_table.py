"""The table of the stages: the plan, how far the release went, and the decision at each stage."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Verdict
from tfcanary.core.record import Release
from tfcanary.core.timeline import Point, Timeline
from tfcanary.report.blocks import Badge, Cell, CellWithNote, Section, Table, TableColumn
from tfcanary.report.history import decision_times, weight_changes
from tfcanary.report.numbers import duration, plain
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.wording import decision_badge

_COLUMNS = (
    TableColumn("Stage", 44),
    TableColumn("Weight", 72, numeric=True),
    TableColumn("Canary requests", 92, numeric=True),
    TableColumn("Duration", 118, numeric=True),
    TableColumn("Decision"),
)


def stages_section(release: Release, timeline: Timeline) -> Iterator[Section]:
    """Yield a section with one row for each stage of the plan; nothing where the release never reached a stage."""
    if release.stage < 0:
        return
    rows = tuple(_row(release, timeline, stage, weight) for stage, weight in enumerate(release.plan.weights))
    yield Section("Stages", (Table(_COLUMNS, rows),))


def _row(release: Release, timeline: Timeline, stage: int, weight: int) -> tuple[Cell, ...]:
    points = [p for p in timeline.points if p.stage == stage]
    verdict = next((v for v in (*release.verdicts, *release.watched) if v.stage == stage), None)
    requests = plain(_requests_of_stage(timeline, points)) if points else "–"
    length = duration(points[-1].at - points[0].at) if points else "–"
    decision, reason = _decision(release, verdict, stage), _reason(release, timeline, verdict, stage)
    return str(stage), f"{weight} %", requests, length, CellWithNote(decision, reason) if reason else decision


def _decision(release: Release, verdict: Verdict | None, stage: int) -> Badge:
    if verdict:
        return decision_badge(verdict)
    return Badge(Tone.PLAIN, "being watched" if stage == release.stage and not release.state.ended else "not reached")


def _reason(release: Release, timeline: Timeline, verdict: Verdict | None, stage: int) -> str:
    if verdict:
        times = f" ({decision_times(verdict.at, weight_changes(timeline, release.events))})" if verdict.at else ""
        return f"{verdict.reason}{times}"
    return release.reason if stage == release.stage else ""


def _requests_of_stage(timeline: Timeline, points: list[Point]) -> float:
    """Return the canary requests since the last poll before the stage, because the stage's first poll has counted some already."""
    before = [p for p in timeline.points if p.at < points[0].at]
    return points[-1].canary_requests - (before[-1].canary_requests if before else 0.0)
