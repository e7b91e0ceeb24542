"""Metric families from records and checkpoints: pure, so that every process that exports a release exports the same values.

Names come from models and plans, so a label's value is cut short and has plain characters only. NaN and infinities are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from prometheus_client.metrics_core import Metric

from tfcanary import __version__
from tfcanary.act.checkpoint import Checkpoint
from tfcanary.core.domain import Decision, Evidence, Finding, Track
from tfcanary.core.record import Record, Release, State
from tfcanary.core.timeline import Point
from tfcanary.run.monitor.metric_table import TABLE

LONGEST = 80
"""Characters of a label's value; longer values are cut."""
MOST_CRITERIA = 50
"""Criteria of one release that are exported: a plan may name any number of objectives, and each makes a dozen series."""
NOT_IN_A_LABEL = re.compile(r"[^-A-Za-z0-9_.:/ ]")
OUTCOMES = {State.PROMOTED: "promoted", State.ROLLED_BACK: "rolled back", State.ROLLING_BACK: "rolled back", State.REFUSED: "refused"}


@dataclass(frozen=True, slots=True)
class ModelReading:
    """What one process read about one model."""

    namespace: str
    model: str
    read: datetime | None
    """When the record was last read; None where it never was."""
    record: Record | None = None
    """The record; None where it cannot be read now, because an old record says nothing about the present."""
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class _Value:
    name: str
    value: float
    labels: Mapping[str, str]


def families(readings: Iterable[ModelReading]) -> tuple[Metric, ...]:
    """Return the metric families about these models; where cleaning makes the labels of two series equal, the first one stays."""
    built = {name: row.family() for name, row in TABLE.items()}
    taken: set[tuple[str, ...]] = set()
    for one in (
        _Value("tfcanary_build_info", 1.0, {"version": __version__}),
        *(value for reading in readings for value in _of_model(reading)),
    ):
        labels = tuple(clean(one.labels.get(name, "")) for name in TABLE[one.name].labels)
        if math.isfinite(one.value) and (one.name, *labels) not in taken:
            taken.add((one.name, *labels))
            built[one.name].add_metric(labels, one.value)  # type: ignore[attr-defined]
    return tuple(family for family in built.values() if family.samples)


def clean(text: str) -> str:
    """Return a label's value with at most LONGEST characters, plain ones only."""
    return NOT_IN_A_LABEL.sub("_", text[:LONGEST])


def _of_model(reading: ModelReading) -> Iterator[_Value]:
    model = {"namespace": reading.namespace, "model": reading.model}
    yield _Value("tfcanary_record_read_timestamp_seconds", reading.read.timestamp() if reading.read else 0.0, model)
    if reading.record is None:
        return
    yield from _of_record(reading.record, model)
    if release := reading.record.release:
        labels = {**model, "version": str(release.candidate.number) if release.candidate else ""}
        yield from _of_release(release, labels)
        if not release.state.ended:
            yield from _of_holds(release, labels)
            yield _Value("tfcanary_paused", float(release.pause is not None), labels)
            yield from _durations(labels, stage_waited=release.standing(reading.read or release.began))
            yield from _of_polls(release, reading.checkpoint, labels) if reading.checkpoint else ()


def _of_record(record: Record, model: Mapping[str, str]) -> Iterator[_Value]:
    if record.stable:
        yield _Value("tfcanary_stable_version", record.stable.number, model)
        yield _track(Track.STABLE, record.stable.number, model)
    canary = record.active.candidate if record.active else None
    if canary and canary.number != (record.stable.number if record.stable else None):
        yield _track(Track.CANARY, canary.number, model)
    ended = [line.state for line in record.history] + ([record.release.state] if record.release and record.release.state.ended else [])
    for state in State:
        if state.ended:
            yield _Value("tfcanary_history_releases", ended.count(state), {**model, "outcome": OUTCOMES[state]})


def _track(track: Track, number: int, model: Mapping[str, str]) -> _Value:
    return _Value("tfcanary_track_info", 1.0, {**model, "track": track.value, "version": str(number)})


def _of_release(release: Release, labels: Mapping[str, str]) -> Iterator[_Value]:
    changed = release.events[-1].at if release.events else release.began
    yield from _one_of("tfcanary_release_state", "state", State, release.state, labels)
    yield from _instants(labels, release_began=release.began, release_changed=changed)
    if outcome := OUTCOMES.get(release.state):
        over = release.ended or changed
        yield _Value("tfcanary_release_over_timestamp_seconds", over.timestamp(), {**labels, "outcome": outcome})
    # The record of a promoted release keeps the weight of its switch; its canary is the stable version since.
    yield _Value("tfcanary_weight_asked_ratio", 0.0 if release.state.ended else release.weight / 100, labels)
    yield _Value("tfcanary_stages", len(release.plan.weights), labels)
    yield _Value("tfcanary_alpha_ratio", release.plan.judge.alpha, labels)
    times = release.plan.times(release.stage)
    yield from _durations(labels, stage_minimum=times.minimum, stage_maximum=times.maximum)
    if release.stage >= 0:
        yield _Value("tfcanary_stage", release.stage, labels)
        yield from _instants({**labels, "stage": str(release.stage)}, stage_began=release.stage_began)


def _of_holds(release: Release, labels: Mapping[str, str]) -> Iterator[_Value]:
    """Who watches the release, and until when."""
    holder, deploy = release.holder, release.plan.deploy
    yield _Value("tfcanary_watching", float(holder is not None and holder.watching), labels)
    yield from _instants(labels, hold_until=holder.until if holder else None, guard_seen=release.beat.at if release.beat else None)
    yield from _durations(labels, lease=deploy.lease, handover=deploy.handover, guard_heartbeat=deploy.heartbeat)


def _of_polls(release: Release, last: Checkpoint, labels: Mapping[str, str]) -> Iterator[_Value]:
    points = last.timeline.points
    yield from _one_of("tfcanary_decision", "decision", Decision, last.verdict.decision, labels)
    yield from _instants(labels, last_poll=points[-1].at if points else None)
    for track, requests in _requests(points[-1:]).items():
        yield _Value("tfcanary_requests_total", requests, {**labels, "track": track.value})
    counted = _of_stage(release, points)
    for track, requests in counted.items():
        yield _Value("tfcanary_stage_requests", requests, {**labels, "track": track.value})
    if (both := sum(counted.values())) > 0:
        yield _Value("tfcanary_weight_measured_ratio", counted[Track.CANARY] / both, labels)
    for evidence in last.verdict.evidence[:MOST_CRITERIA]:
        yield from _of_criterion(evidence, {**labels, "criterion": evidence.about})


def _requests(points: Sequence[Point]) -> dict[Track, float]:
    """The requests of both tracks, as the last of these polls counted them; empty without a poll."""
    return {Track.STABLE: points[-1].stable_requests, Track.CANARY: points[-1].canary_requests} if points else {}


def _of_stage(release: Release, points: Sequence[Point]) -> dict[Track, float]:
    """The requests since the stage's first poll: earlier ones were divided by another weight."""
    began = release.stage_began
    polls = [p for p in points if began and p.at >= began and p.stage == release.stage and p.weight == release.weight]
    first = _requests(polls[:1])
    return {track: requests - first[track] for track, requests in _requests(polls).items()}


def _of_criterion(evidence: Evidence, labels: Mapping[str, str]) -> Iterator[_Value]:
    yield from _one_of("tfcanary_criterion_finding", "finding", Finding, evidence.finding, labels)
    interval = evidence.interval
    numbers = {
        "estimate": interval.estimate if interval else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "tolerance": evidence.tolerance,
        "margin": evidence.margin,
    }
    yield from (_Value(f"tfcanary_criterion_{name}_ratio", value, labels) for name, value in numbers.items() if value is not None)
    spent = evidence.figures.get("alpha spent")
    if isinstance(spent, float):
        yield _Value("tfcanary_alpha_spent_ratio", spent, labels)
    for towards in ("rollback", "promotion"):
        found, needed = (evidence.figures.get(f"{what} {towards}") for what in ("e-value for", "needed for"))
        if isinstance(found, float) and isinstance(needed, float) and found > 0 and needed > 1:
            yield _Value("tfcanary_criterion_evidence_ratio", math.log(found) / math.log(needed), {**labels, "towards": towards})


def _one_of(name: str, label: str, every: type[StrEnum], present: StrEnum, labels: Mapping[str, str]) -> Iterator[_Value]:
    for one in every:
        yield _Value(name, float(one is present), {**labels, label: one.value})


def _instants(labels: Mapping[str, str], **instants: datetime | None) -> Iterator[_Value]:
    for name, at in instants.items():
        if at is not None:
            yield _Value(f"tfcanary_{name}_timestamp_seconds", at.timestamp(), labels)


def _durations(labels: Mapping[str, str], **durations: timedelta) -> Iterator[_Value]:
    for name, lasts in durations.items():
        yield _Value(f"tfcanary_{name}_seconds", lasts.total_seconds(), labels)
