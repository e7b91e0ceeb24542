"""Findings turned into artifacts, and artifacts back into values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from tfcanary import report
from tfcanary.act import checkpoint, ledger
from tfcanary.act.checkpoint import Checkpoint
from tfcanary.core import codec
from tfcanary.core.domain import Evidence, Finding, Look, Verdict
from tfcanary.core.errors import Refused, TfcanaryError
from tfcanary.core.timeline import Timeline
from tfcanary.report import SignaturePairs, SignatureRow
from tfcanary.run.steps.model_files import graph_of
from tfcanary.run.steps.step_inputs import Artifact, Step, lineage

MOVED = "moved "
"""How the figures of drift name a column's effect."""


def gate(look: Look) -> str:
    """The word that a gate compares: `pass` (a warning passes, too) or the finding."""
    return Finding.PASS.value if look.finding in (Finding.PASS, Finding.WARN) else look.finding.value


def scalars(outcome: StrEnum, evidence: Iterable[Evidence]) -> dict[str, float | str]:
    """What was said and the estimates that it rests on, for KFP's table of metrics, where runs are compared.

    An estimate without an interval is drift's largest effect. The names of columns and slices are data and stay on the pages.
    """
    found = {e.about: _estimate(e) for e in evidence}
    return {"outcome": outcome.value, **{about: round(value, 6) for about, value in found.items() if math.isfinite(value)}}


def _estimate(evidence: Evidence) -> float:
    if evidence.interval:
        return evidence.interval.estimate
    moved = [value for name, value in evidence.figures.items() if name.startswith(MOVED) and isinstance(value, int | float)]
    return max(moved, default=math.nan)


def outcome(step: Step) -> dict[str, float | str]:
    """How this run's release ended, how long that took and how many requests met the canary: the same rows in every run."""
    release = step.record.release
    if release is None or release.run_id != step.run_id:
        return {"outcome": "none"}
    verdict, requests = report.last_verdict(release), report.canary_requests(release, timeline(step))
    known: dict[str, float | str] = scalars(release.state, verdict.evidence if verdict else ())
    if requests is not None:
        known["canary requests"] = round(requests)
    if release.ended:
        known["seconds to the end"] = round((release.ended - release.began).total_seconds(), 1)
        traffic = release.ended - (release.first_traffic or release.ended)
        known["seconds with traffic"] = round(traffic.total_seconds(), 1)
    return known


def signatures(step: Step) -> SignaturePairs | None:
    """What the candidate and the version before it declare; None where one of them is not in reach: a page is not worth a step that fails."""
    record = step.record
    candidate = record.release.candidate if record.release else None
    before = next((version for version in (record.stable, *record.previous) if version and version != candidate), None)
    if candidate is None or before is None:
        return None
    try:
        return side_by_side(step.plan.validation.signature, graph_of(step.platform, before), graph_of(step.platform, candidate))
    except TfcanaryError:
        return None


def side_by_side(signature: str, stable: Path | None, candidate: Path) -> SignaturePairs | None:
    """What the two models declare under one signature; None where one of them cannot be read, which the checks say in their own words."""
    from tfcanary.look import savedmodel

    try:
        sides = [savedmodel.read(model).signatures.get(signature) if model else None for model in (stable, candidate)]
    except Refused:
        return None
    rows = []
    for direction in ("inputs", "outputs"):
        ours, theirs = ({k: str(v) for k, v in getattr(side, direction).items()} if side else {} for side in sides)
        rows += [SignatureRow(alias, direction[:-1], ours.get(alias), theirs.get(alias)) for alias in sorted(ours | theirs)]
    return SignaturePairs(signature, tuple(rows))


def publish_look(
    step: Step, look: Look, title: str, evidence: Artifact, page: Artifact, summary: Artifact, pairs: SignaturePairs | None = None
) -> str:
    """Note the look in the record and write its three artifacts; returns the gate's word."""
    ledger.note(step.platform, step.run_id, look)
    return write_look(step, look, title, evidence, page, summary, pairs)


def write_look(
    step: Step, look: Look, title: str, evidence: Artifact, page: Artifact, summary: Artifact, pairs: SignaturePairs | None = None
) -> str:
    """Write a look's three artifacts; returns the gate's word."""
    _write(evidence, codec.dumps(look), {**lineage(step), "finding": look.finding.value})
    _write(page, report.look_html(look, title, pairs), lineage(step))
    _write(summary, report.look_markdown(look, title, pairs), lineage(step))
    return gate(look)


def publish_verdict(step: Step, verdict: Verdict, title: str, evidence: Artifact, page: Artifact, summary: Artifact) -> str:
    """Write a verdict's three artifacts; returns the decision."""
    said = {**lineage(step), "decision": verdict.decision.value, "reason": verdict.reason}
    _write(evidence, codec.dumps(verdict), said)
    _write(page, report.verdict_html(verdict, title, timeline(step)), said)
    _write(summary, report.verdict_markdown(verdict, title, timeline(step)), said)
    return verdict.decision.value


def publish_release(step: Step, page: Artifact, summary: Artifact) -> str:
    """Write the report of this run's release, or of its refusal where the record holds another release; returns the state, `none` without a release."""
    record = step.record
    ours = record.release if record.release and record.release.run_id == step.run_id else None
    points, pairs = (timeline(step), signatures(step)) if ours else (None, None)
    # The step was opened with the plan of the record's release, which is not this run's plan where the release is another one.
    metadata = lineage(step) if ours else {**lineage(step), "plan_digest": "", "training_data": ""}
    _write(page, report.release_html(record, points, pairs, run_id=step.run_id), metadata)
    _write(summary, report.release_markdown(record, points, pairs, run_id=step.run_id), metadata)
    return ours.state.value if ours else "none"


def seen(step: Step) -> Checkpoint | None:
    """What was seen and said at every poll so far; None before the first."""
    release = step.record.release
    return checkpoint.load(step.platform, release) if release else None


def timeline(step: Step) -> Timeline | None:
    """What was seen at every poll so far; None before the first."""
    kept = seen(step)
    return kept.timeline if kept else None


def read_artifact(kind: Any, artifact: Artifact) -> Any:
    """Decode an input artifact; raises Refused where it is missing or is something else."""
    try:
        return codec.loads(kind, Path(artifact.path).read_bytes(), at=artifact.path)
    except OSError as error:
        raise Refused(f"{artifact.path}: cannot be read ({error.strerror})") from error


def _write(artifact: Artifact, text: str, metadata: Mapping[str, str]) -> None:
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    artifact.metadata.update(metadata)
