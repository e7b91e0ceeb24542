"""The looks behind the gates: what each step examines, by the plan and the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfcanary import __version__
from tfcanary.act import ledger, notify
from tfcanary.act.hold import holding
from tfcanary.core.domain import Absence, Decision, Evidence, Finding, Look, ModelVersion, Track, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import DriftPlan, PredictionsPlan
from tfcanary.core.record import DriftTold, Record, Release
from tfcanary.decide.drift import Profile
from tfcanary.report import SignaturePairs
from tfcanary.run import watch
from tfcanary.run.steps.artifacts import gate_word, read_artifact, signature_pairs
from tfcanary.run.steps.model_files import fetch, fetch_one
from tfcanary.run.steps.recorded_answers import Window, read_answers
from tfcanary.run.steps.step_inputs import Artifact, Step, golden_requests, mirror_folder, recorded_requests, stable_model

WORLD_DRIFT = "the world has drifted"
"""The beginning of the event that asks for retraining."""


def validate_candidate(step: Step, model_uri: str) -> tuple[Look, SignaturePairs | None]:
    """Begin the release and validate its candidate; returns the look, and both models' signatures where they can be read."""
    from tfcanary.look import trial

    notify.settle(step.platform)
    if ledger.begin(step.platform, step.plan, step.run_id, step.begun_by, model_uri).state.ended:
        raise Refused(f"release {step.run_id!r} has ended: {step.release.reason}; submit a new run")
    with holding(step.platform, step.run_id, "validate") as hold:
        model, stable = fetch(model_uri), stable_model(step)
        look = trial.validate(model, step.plan.validation, stable, golden_requests(step))
        hold.renew(lambda release: replace(release, export=replace(release.export, digest=trial.digest(look))))
        return look, signature_pairs(step.plan.validation.signature, stable, model)


def compare_predictions(step: Step) -> Look:
    """Compare the answers of both tracks as the plan asks; a look that the record holds already is returned unchanged."""
    from tfcanary.look.evaluate import predictions

    release = step.release
    if recorded := release.looks.get("compare"):
        return recorded
    deployment = release.looks.get("deploy", Look("deploy"))
    if gate_word(deployment) != Finding.PASS.value:
        return replace(deployment, about="compare")
    if step.plan.predictions is None or release.state.ended:
        reason = "first release: there is no stable version to compare with" if release.state.ended else "absent by plan"
        return Look("compare", absent=(Absence("predictions", reason),))
    with holding(step.platform, step.run_id, "compare predictions"):
        if folder := mirror_folder(step.plan.predictions.source):
            return _compare_mirrored(folder, step.plan.predictions)
        sample = recorded_requests(step, step.plan.predictions.source).requests(step.plan.predictions.limit)
        return predictions.compare(step.platform.predictor, sample, step.plan.predictions, step.platform.clock)


def _compare_mirrored(folder: Path, plan: PredictionsPlan) -> Look:
    """Compare answers that both tracks have given already, to mirrored requests; no request is sent."""
    from tfcanary.look.evaluate import predictions
    from tfcanary.look.evaluate.mirrored import MirroredLogs

    logs = MirroredLogs(folder)
    look = predictions.compare_pairs(logs.pairs(plan.limit), plan)
    return replace(look, evidence=(logs.evidence(), *look.evidence))


def evaluate_drift(step: Step, stage: int, watch_verdict: Artifact) -> Look:
    """Compare the stage's recorded requests as the plan asks; a look that the record holds already is returned unchanged."""
    release, about = step.release, f"drift-{stage}"
    if recorded := release.looks.get(about):
        return recorded
    verdict: Verdict = read_artifact(Verdict, watch_verdict)
    if step.plan.drift is None or verdict.decision is Decision.ROLLBACK:
        reason = "absent by plan" if step.plan.drift is None else "not asked: the stage was rolled back while it was watched"
        return Look(about, absent=(Absence("drift", reason),))
    with nullcontext() if release.state.ended else holding(step.platform, step.run_id, f"drift of stage {stage}"):
        return _evaluate_drift(step, stage, release, verdict, step.plan.drift)


def _evaluate_drift(step: Step, stage: int, release: Release, verdict: Verdict, plan: DriftPlan) -> Look:
    from tfcanary.look.evaluate import drift

    window = release.stage_began or release.began, verdict.at or step.platform.clock.now()
    unreadable: list[int] = []
    stable, canary = (_answers(step, plan.source, track, window, unreadable) for track in (Track.STABLE, Track.CANARY))
    look = drift.evaluate(stable, canary, plan, stage + 1, training_reference(step))
    _record_world_drift(step, look)
    return replace(look, about=f"drift-{stage}", evidence=(*look.evidence, *_unreadable_evidence("drift", unreadable)))


def _unreadable_evidence(about: str, unreadable: list[int]) -> tuple[Evidence, ...]:
    """A warning with the number of recorded requests that could not be read, so that none is left out in silence."""
    if not sum(unreadable):
        return ()
    reason = f"{sum(unreadable):,} recorded requests could not be read and are not compared: no answer with their id, or no body"
    return (Evidence(f"{about}/unread", Finding.WARN, reason, gating=False, figures={"dropped": sum(unreadable)}),)


def _answers(step: Step, source: str, track: Track, window: Window, unreadable: list[int]) -> Iterator[Any]:
    return read_answers(step.platform, source, track, window, step.plan.drift.time if step.plan.drift else "", unreadable=unreadable)


def evaluate_quality(step: Step) -> Look:
    """Compare how often both tracks were right, by the plan's labels; nothing is written into the record."""
    from tfcanary.look.evaluate import quality

    plan, release = step.plan.labelled, step.record.release
    if plan is None:
        return Look("quality", absent=(Absence("quality", "absent by plan"),))
    since = (release.first_traffic or release.began) if release else datetime.min.replace(tzinfo=UTC)
    window = since, step.platform.clock.now()
    unreadable: list[int] = []
    stable, canary = (_answers(step, plan.source, track, window, unreadable) for track in (Track.STABLE, Track.CANARY))
    look = quality.evaluate(stable, canary, quality.read_labels(fetch(plan.labels)), plan)
    return replace(look, evidence=(*look.evidence, *_unreadable_evidence("quality", unreadable)))


def profile_data(data: str, artifact: Artifact, entity: str, columns: tuple[str, ...], shard: int, shards: int) -> str:
    """Count a data set, or one shard of its files and row groups, into the artifact; returns the artifact's uri.

    Raises Refused where the data cannot be read, the shard's number does not exist, or a whole data set has no rows.
    """
    from tfcanary.look.evaluate import sources

    if not 0 <= shard < shards:
        raise Refused(f"shard {shard} of {shards}: must be from 0 to {shards - 1}")
    pieces = sources.pieces(fetch(data))
    selection = sources.Selection(columns=(*columns, *((entity,) if entity and columns else ())))
    layout = sources.layout_of(pieces, entity, selection) if shards > 1 else None
    profile = sources.count(pieces[shard::shards], layout, entity, selection)
    if not profile.rows and shards == 1:
        raise Refused(f"{data}: no rows; a reference without rows says nothing")
    return _write_profile(profile, artifact)


def merge_profiles(shards: Sequence[Artifact], artifact: Artifact) -> str:
    """Add up the profiles of all shards into one artifact; returns the artifact's uri. Raises Refused where their layouts differ."""
    from tfcanary.decide import drift

    return _write_profile(drift.merge([drift.from_bytes(Path(shard.path).read_bytes()) for shard in shards]), artifact)


def _write_profile(profile: Profile, artifact: Artifact) -> str:
    from tfcanary.decide import drift

    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(drift.to_bytes(profile))
    artifact.metadata.update(rows=profile.rows, columns=len(profile.tallies), dropped=profile.dropped, tfcanary_version=__version__)
    return str(getattr(artifact, "uri", "") or artifact.path)


def training_reference(step: Step) -> Profile | None:
    """Return the profile of the training data: the plan's reference, else the one inside the candidate, else the one inside stable.

    Returns None where none of them has one.
    """
    from tfcanary.look.evaluate import references

    if step.plan.drift and step.plan.drift.reference:
        return references.read_or_count(fetch(step.plan.drift.reference), None, step.plan.drift.entity)
    versions = [version for version in (step.release.candidate, step.record.stable) if version]
    return next((found for version in versions if (found := _reference_inside(step, version))), None)


def _reference_inside(step: Step, version: ModelVersion) -> Profile | None:
    """The reference inside a pushed version; from a bucket only that one file is read."""
    from tfcanary.look.evaluate import references

    if "://" not in version.uri:
        return references.read_from_model(Path(version.uri))
    name = f"{step.platform.model}/{version.number}/{references.PATH_IN_MODEL.as_posix()}"
    if not any(blob.name == name for blob in step.platform.storage.list(name)):
        return None
    return references.read_stored(fetch_one(step.platform.storage, name))


def _record_world_drift(step: Step, look: Look) -> None:
    """Write into the record that the world has drifted, once a release, and who is asked to retrain unless that was asked lately."""
    from tfcanary.look.evaluate import attribution

    reason, drift = attribution.world_drift_reason(look.evidence), step.plan.drift
    if not reason or drift is None:
        return
    now = step.platform.clock.now()

    def with_event(record: Record) -> Record:
        release, last = ledger.ours(record, step.run_id), record.drift_told
        if any(event.what.startswith(WORLD_DRIFT) for event in release.events):
            return record
        if last and now - last.at < drift.retrain_every:
            before = f"; told already, by release {last.run_id} at {last.at:%Y-%m-%d %H:%M} UTC"
            return replace(record, release=release.happened(now, f"{WORLD_DRIFT}: {reason}{before}"))
        asks = f"; {drift.retrain} is asked to retrain" if drift.retrain else ""
        noted = release.happened(now, f"{WORLD_DRIFT}: {reason}{asks}")
        return replace(record, release=noted, drift_told=DriftTold(step.run_id, now, reason))

    ledger.update(step.platform, with_event)


def judge_stage(step: Step, stage: int, watch_verdict: Artifact, drift: Artifact) -> Verdict:
    """Return the stage's verdict, from the verdict of its watch and the look at drift, and write it into the record.

    Unless it is a rollback, receivers that the plan names are notified now, while the guard watches.
    """
    verdict = watch.judge_stage(step.platform, step.run_id, stage, read_artifact(Verdict, watch_verdict), read_artifact(Look, drift))
    if verdict.decision is not Decision.ROLLBACK and not step.release.state.ended:
        with holding(step.platform, step.run_id, f"judge stage {stage}"):
            notify.deliver(step.platform, step.run_id)
    return verdict
