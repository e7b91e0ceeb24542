"""A step's findings as output artifacts, and input artifacts as values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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
"""The prefix of those figures of a drift finding that hold a column's effect."""


def gate_word(look: Look) -> str:
    """Return the word that a gate compares: `pass` where the look passed or only warned, else its finding."""
    return Finding.PASS.value if look.finding in (Finding.PASS, Finding.WARN) else look.finding.value


def metric_rows(outcome: str, evidence: Iterable[Evidence]) -> dict[str, float | str]:
    """Return the outcome (a look's answer, a decision or a state) and the estimates that it rests on, as rows of KFP's metrics table, where runs are compared.

    An evidence without an interval contributes drift's largest effect. The names of columns and slices are data of
    users, so they stay on the pages and are not rows of the table.
    """
    estimates = {e.about: _estimate(e) for e in evidence}
    return {"outcome": str(outcome), **{about: round(value, 6) for about, value in estimates.items() if math.isfinite(value)}}


def _estimate(evidence: Evidence) -> float:
    if evidence.interval:
        return evidence.interval.estimate
    effects = [value for name, value in evidence.figures.items() if name.startswith(MOVED) and isinstance(value, int | float)]
    return max(effects, default=math.nan)


def outcome_rows(step: Step) -> dict[str, float | str]:
    """Return how this run's release ended, how long it took, and how many requests the canary got, as rows of KFP's metrics table.

    The rows have the same names in every run, so that Kubeflow can compare runs.
    """
    release = step.own_release
    if release is None:
        return {"outcome": "none"}
    verdict, last = report.last_verdict(release), read_checkpoint(step)
    requests = report.canary_requests(release, last.timeline if last else None)
    rows: dict[str, float | str] = metric_rows(release.state, verdict.evidence if verdict else ())
    if requests is not None:
        rows["canary requests"] = round(requests)
    if release.ended:
        rows["seconds to the end"] = round((release.ended - release.began).total_seconds(), 1)
        traffic = release.ended - (release.first_traffic or release.ended)
        rows["seconds with traffic"] = round(traffic.total_seconds(), 1)
    return rows


def release_signatures(step: Step) -> SignaturePairs | None:
    """Return what the candidate and the version before it declare, side by side.

    Returns None where one of them is missing or cannot be read: a page without signatures is better than a failed step.
    """
    record = step.record
    candidate = record.release.candidate if record.release else None
    before = next((version for version in (record.stable, *record.previous) if version and version != candidate), None)
    if candidate is None or before is None:
        return None
    try:
        return signature_pairs(step.plan.validation.signature, graph_of(step.platform, before), graph_of(step.platform, candidate))
    except TfcanaryError:
        return None


def signature_pairs(signature: str, stable: Path | None, candidate: Path) -> SignaturePairs | None:
    """Return what the two models declare under one signature; without a stable model its column is empty.

    Returns None where a model cannot be read: the checks of validation report that in their own words.
    """
    from tfcanary.look import savedmodel

    try:
        sides = [savedmodel.read(model).signatures.get(signature) if model else None for model in (stable, candidate)]
    except Refused:
        return None
    rows = []
    for direction in ("inputs", "outputs"):
        before, after = ({k: str(v) for k, v in getattr(side, direction).items()} if side else {} for side in sides)
        rows += [SignatureRow(alias, direction[:-1], before.get(alias), after.get(alias)) for alias in sorted(before | after)]
    return SignaturePairs(signature, tuple(rows))


def publish_look(
    step: Step, look: Look, title: str, evidence: Artifact, page: Artifact, summary: Artifact, pairs: SignaturePairs | None = None
) -> str:
    """Write the look into the record and into its three artifacts; returns the word that a gate compares.

    Where nothing was asked because the release has ended already, as a first one has when it is deployed, the record stays as it is.
    """
    if look.evidence or not step.release.state.ended:
        ledger.note(step.platform, step.run_id, look)
    return write_look(step, look, title, evidence, page, summary, pairs)


def write_look(
    step: Step, look: Look, title: str, evidence: Artifact, page: Artifact, summary: Artifact, pairs: SignaturePairs | None = None
) -> str:
    """Write the look into its three artifacts, and not into the record; returns the word that a gate compares."""
    _write(evidence, codec.dumps(look), {**lineage(step), "finding": look.answer})
    _write(page, report.look_html(look, title, pairs), lineage(step))
    _write(summary, report.look_markdown(look, title, pairs), lineage(step))
    return gate_word(look)


def publish_verdict(step: Step, verdict: Verdict, title: str, evidence: Artifact, page: Artifact, summary: Artifact) -> str:
    """Write the verdict into its three artifacts; returns the word of its decision."""
    metadata = {**lineage(step), "decision": verdict.decision.value, "reason": verdict.reason}
    _write(evidence, codec.dumps(verdict), metadata)
    points = read_timeline(step)
    _write(page, report.verdict_html(verdict, title, points), metadata)
    _write(summary, report.verdict_markdown(verdict, title, points), metadata)
    return verdict.decision.value


def publish_release(step: Step, page: Artifact, summary: Artifact) -> str:
    """Write the report of this run's release, or of its refusal where the record holds another one; returns the state, `none` without a release."""
    record, ours = step.record, step.own_release
    cloned = ours is None and record.release is not None and record.release.run_id == step.run_id
    run_id = step.begun_by if cloned else step.run_id
    points, pairs = (read_timeline(step), release_signatures(step)) if ours else (None, None)
    # The step was opened with the plan of the record's release, which is not this run's plan where the release is another one.
    metadata = lineage(step) if ours else {**lineage(step), "plan_digest": "", "training_data": ""}
    _write(page, report.release_html(record, points, pairs, run_id=run_id), metadata)
    _write(summary, report.release_markdown(record, points, pairs, run_id=run_id), metadata)
    return ours.state.value if ours else "none"


def read_checkpoint(step: Step) -> Checkpoint | None:
    """Read the last poll's verdict and the outline of the record's release; None before the first poll. Raises Unavailable."""
    release = step.record.release
    return checkpoint.load(step.platform, release) if release else None


def read_timeline(step: Step) -> Timeline | None:
    """Read what every poll of the record's release measured; None before the first poll. Raises Unavailable."""
    release, last = step.record.release, read_checkpoint(step)
    return checkpoint.read_timeline(step.platform, release.run_id, last) if release and last else None


def read_artifact(kind: Any, artifact: Artifact) -> Any:
    """Decode an input artifact into a value of type `kind`; raises Refused where it is missing or holds something else."""
    try:
        return codec.loads(kind, Path(artifact.path).read_bytes(), at=artifact.path)
    except OSError as error:
        raise Refused(f"{artifact.path}: cannot be read ({error.strerror})") from error


def _write(artifact: Artifact, text: str, metadata: Mapping[str, str]) -> None:
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    artifact.metadata.update(metadata)
