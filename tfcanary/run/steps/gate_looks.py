"""What the gates ask for: each look of a step, out of the plan and the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfcanary import __version__
from tfcanary.act import ledger, notify
from tfcanary.core.domain import Absence, Decision, Evidence, Finding, Look, ModelVersion, Track, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import PredictionsPlan
from tfcanary.core.record import DriftTold, Record
from tfcanary.decide.drift import Profile
from tfcanary.run import watch
from tfcanary.run.steps.artifacts import gate, read_artifact
from tfcanary.run.steps.model_files import fetch, fetch_one
from tfcanary.run.steps.recorded_answers import Window, answered
from tfcanary.run.steps.step_inputs import Artifact, Step, mirrored, requests

WORLD_DRIFT = "the world has drifted"
"""How the event begins that asks for retraining."""


def compared(step: Step) -> Look:
    """Compare predictions as the plan asks; what was found before in this run is returned as it was."""
    from tfcanary.look.evaluate import predictions

    release = step.release
    if found := release.looks.get("compare"):
        return found
    came_up = release.looks.get("deploy", Look("deploy"))
    if step.plan.predictions is None or release.state.ended:
        why = "absent by plan" if step.plan.predictions is None else "first release: there is no stable version to compare with"
        return Look("compare", came_up.evidence, absent=(Absence("predictions", why),))
    if gate(came_up) != Finding.PASS.value:
        return replace(came_up, about="compare")
    ledger.hold(step.platform, step.run_id, "compare predictions")
    if folder := mirrored(step.plan.predictions.source):
        return _of_pairs(folder, step.plan.predictions)
    asked = requests(step, step.plan.predictions.source).requests(step.plan.predictions.limit)
    return predictions.compare(step.platform.predictor, asked, step.plan.predictions, step.platform.clock)


def _of_pairs(folder: Path, plan: PredictionsPlan) -> Look:
    """Answers that both tracks have given already: nothing is sent."""
    from tfcanary.look.evaluate import predictions
    from tfcanary.look.evaluate.mirrored import Mirrored

    logs = Mirrored(folder)
    look = predictions.compare_pairs(logs.pairs(plan.limit), plan)
    return replace(look, evidence=(logs.evidence(), *look.evidence))


def drifted(step: Step, stage: int, watched: Artifact) -> Look:
    """Compare the stage's recorded requests as the plan asks; what was found before in this run is returned as it was."""
    from tfcanary.look.evaluate import drift

    release, about = step.release, f"drift-{stage}"
    if found := release.looks.get(about):
        return found
    verdict: Verdict = read_artifact(Verdict, watched)
    if step.plan.drift is None or verdict.decision is Decision.ROLLBACK:
        why = "absent by plan" if step.plan.drift is None else "not asked: the stage was rolled back while it was watched"
        return Look(about, absent=(Absence("drift", why),))
    if not release.state.ended:
        ledger.hold(step.platform, step.run_id, f"drift of stage {stage}")
    window = release.stage_began or release.began, verdict.at or step.platform.clock.now()
    lost: list[int] = []
    stable, canary = (_answered(step, step.plan.drift.source, track, window, lost) for track in (Track.STABLE, Track.CANARY))
    look = drift.evaluate(stable, canary, step.plan.drift, stage + 1, reference(step))
    _tell_of_the_world(step, look)
    return replace(look, about=about, evidence=(*look.evidence, *_unread("drift", lost)))


def _unread(about: str, lost: list[int]) -> tuple[Evidence, ...]:
    """Requests of the source that could not be read are said, never passed over."""
    if not sum(lost):
        return ()
    reason = f"{sum(lost):,} recorded requests could not be read and are not compared: no answer with their id, or no body"
    return (Evidence(f"{about}/unread", Finding.WARN, reason, gating=False, figures={"dropped": sum(lost)}),)


def _answered(step: Step, source: str, track: Track, window: Window, lost: list[int]) -> Iterator[Any]:
    return answered(step.platform, source, track, window, step.plan.drift.time if step.plan.drift else "", lost=lost)


def good(step: Step) -> Look:
    """How right both tracks were, by the plan's labels; beside the graph: nothing is recorded."""
    from tfcanary.look.evaluate import quality

    plan, release = step.plan.labelled, step.record.release
    if plan is None:
        return Look("quality", absent=(Absence("quality", "absent by plan"),))
    since = (release.first_traffic or release.began) if release else datetime.min.replace(tzinfo=UTC)
    window = since, step.platform.clock.now()
    lost: list[int] = []
    stable, canary = (_answered(step, plan.source, track, window, lost) for track in (Track.STABLE, Track.CANARY))
    look = quality.evaluate(stable, canary, quality.read_labels(fetch(plan.labels)), plan)
    return replace(look, evidence=(*look.evidence, *_unread("quality", lost)))


def profiled(data: str, artifact: Artifact, entity: str, columns: tuple[str, ...], shard: int, shards: int) -> str:
    """Count a data set, or one shard of its files and row groups, into the artifact; returns its uri. Refused where there are no rows."""
    from tfcanary.look.evaluate import sources

    if not 0 <= shard < shards:
        raise Refused(f"shard {shard} of {shards}: must be from 0 to {shards - 1}")
    pieces = sources.pieces(fetch(data))
    chosen = sources.Selection(columns=(*columns, *((entity,) if entity and columns else ())))
    layout = sources.layout_of(pieces, entity, chosen) if shards > 1 else None
    counted = sources.count(pieces[shard::shards], layout, entity, chosen)
    if not counted.rows and shards == 1:
        raise Refused(f"{data}: no rows; a reference without rows says nothing")
    return _store(counted, artifact)


def merged(shards: Sequence[Artifact], artifact: Artifact) -> str:
    """Add up the profiles of all shards in the artifact; returns its uri."""
    from tfcanary.decide import drift

    return _store(drift.merge([drift.from_bytes(Path(shard.path).read_bytes()) for shard in shards]), artifact)


def _store(profile: Profile, artifact: Artifact) -> str:
    from tfcanary.decide import drift

    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(drift.to_bytes(profile))
    artifact.metadata.update(rows=profile.rows, columns=len(profile.tallies), dropped=profile.dropped, tfcanary_version=__version__)
    return str(getattr(artifact, "uri", "") or artifact.path)


def reference(step: Step) -> Profile | None:
    """What requests were like in training: the plan's reference, or what the candidate carries, or stable; None where nobody says."""
    from tfcanary.look.evaluate import references

    if step.plan.drift and step.plan.drift.reference:
        return references.counted(fetch(step.plan.drift.reference), None, step.plan.drift.entity)
    versions = [version for version in (step.release.candidate, step.record.stable) if version]
    return next((found for version in versions if (found := _carried(step, version))), None)


def _carried(step: Step, version: ModelVersion) -> Profile | None:
    """The reference inside a pushed version; of a bucket only that one file is read."""
    from tfcanary.look.evaluate import references

    if "://" not in version.uri:
        return references.carried_by(Path(version.uri))
    name = f"{step.platform.model}/{version.number}/{references.CARRIED.as_posix()}"
    if not any(blob.name == name for blob in step.platform.storage.list(name)):
        return None
    return references.stored(fetch_one(step.platform.storage, name))


def _tell_of_the_world(step: Step, look: Look) -> None:
    """Write down that the world has drifted, once a release: the sentence, and who is asked to retrain, if that was not done lately."""
    from tfcanary.look.evaluate import attribution

    reason, drift = attribution.world_drifted(look.evidence), step.plan.drift
    if not reason or drift is None:
        return
    now = step.platform.clock.now()

    def told(record: Record) -> Record:
        release, last = ledger.ours(record, step.run_id), record.drift_told
        if any(event.what.startswith(WORLD_DRIFT) for event in release.events):
            return record
        if last and now - last.at < drift.retrain_every:
            before = f"; told already, by release {last.run_id} at {last.at:%Y-%m-%d %H:%M} UTC"
            return replace(record, release=release.happened(now, f"{WORLD_DRIFT}: {reason}{before}"))
        asks = f"; {drift.retrain} is asked to retrain" if drift.retrain else ""
        noted = release.happened(now, f"{WORLD_DRIFT}: {reason}{asks}")
        return replace(record, release=noted, drift_told=DriftTold(step.run_id, now, reason))

    ledger.update(step.platform, told)


def judged(step: Step, stage: int, watched: Artifact, drift: Artifact) -> Verdict:
    """The stage's verdict out of what was watched and what drifted. Where it is no rollback, who asked for it is told now: the guard watches meanwhile."""
    verdict = watch.judge_stage(step.platform, step.run_id, stage, read_artifact(Verdict, watched), read_artifact(Look, drift))
    if verdict.decision is not Decision.ROLLBACK:
        notify.deliver(step.platform, step.run_id)
    return verdict
