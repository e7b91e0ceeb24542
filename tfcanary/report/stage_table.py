"""The table of the stages: what was planned, how far the release came, and what was decided at each."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Verdict
from tfcanary.core.record import Release
from tfcanary.core.timeline import Point, Timeline
from tfcanary.report.blocks import Badge, Cell, Column, Noted, Section, Table
from tfcanary.report.numbers import duration, plain
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.wording import of_decision

_COLUMNS = (
    Column("Stage", 44),
    Column("Weight", 72, numeric=True),
    Column("Canary requests", 92, numeric=True),
    Column("Lasted", 118, numeric=True),
    Column("Decision"),
)


def stages_section(release: Release, timeline: Timeline) -> Iterator[Section]:
    """One row a stage of the plan; no section where the release never came to one."""
    if release.stage < 0:
        return
    rows = tuple(_row(release, timeline, stage, weight) for stage, weight in enumerate(release.plan.weights))
    yield Section("Stages", (Table(_COLUMNS, rows),))


def _row(release: Release, timeline: Timeline, stage: int, weight: int) -> tuple[Cell, ...]:
    points = [p for p in timeline.points if p.stage == stage]
    verdict = _of(release.verdicts, stage) or _of(release.watched, stage)
    requests = plain(_gained(timeline, points)) if points else "–"
    lasted = duration(points[-1].at - points[0].at) if points else "–"
    decision, why = _decision(release, verdict, stage), _why(release, verdict, stage)
    return str(stage), f"{weight} %", requests, lasted, Noted(decision, why) if why else decision


def _of(verdicts: tuple[Verdict, ...], stage: int) -> Verdict | None:
    return next((v for v in verdicts if v.stage == stage), None)


def _decision(release: Release, verdict: Verdict | None, stage: int) -> Badge:
    if verdict:
        return of_decision(verdict.decision)
    return Badge(Tone.PLAIN, "being watched" if stage == release.stage and not release.state.ended else "not reached")


def _why(release: Release, verdict: Verdict | None, stage: int) -> str:
    if verdict:
        return verdict.reason
    return release.reason if stage == release.stage else ""


def _gained(timeline: Timeline, points: list[Point]) -> float:
    """Requests of a stage: from the last poll before it, for the first one of it counted already."""
    before = [p for p in timeline.points if p.at < points[0].at]
    return points[-1].canary_requests - (before[-1].canary_requests if before else 0.0)
