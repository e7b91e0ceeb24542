"""What the bodies of the components share: the step's arguments turned into values, and its findings into artifacts.

Nothing here decides or changes the world. Bodies pass KFP's artifacts in; only their `path` and `metadata` are used,
so this module does not know KFP.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from tfcanary import __version__, codec, platforms, report, watch
from tfcanary.acts import checkpoint, ledger
from tfcanary.acts.checkpoint import Checkpoint
from tfcanary.domain import Absence, Decision, Finding, Look, ModelVersion, Request, Track, Verdict
from tfcanary.errors import Refused
from tfcanary.plan import Plan
from tfcanary.ports import Platform, RequestSource, Storage
from tfcanary.record import Record, Release
from tfcanary.report import SignaturePairs, SignatureRow, Timeline


class Artifact(Protocol):
    """What is used of a KFP output artifact."""

    path: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """The arguments that every step takes, as values."""

    platform: Platform
    plan: Plan
    run_id: str

    @property
    def record(self) -> Record:
        """The model's record, read now."""
        return ledger.read(self.platform)

    @property
    def release(self) -> Release:
        """This run's release, read now; raises Held where the record holds another one."""
        return ledger.ours(self.record, self.run_id)


def open_step(platform: str, model_name: str, plan: Mapping[str, Any], run_id: str) -> Step:
    """Decode the plan and bind the platform; raises Refused where one of them is wrong."""
    decoded: Plan = codec.decode(Plan, plan, at="plan")
    return Step(platforms.open_platform(platform, model_name, decoded), decoded, run_id)


def reopen_step(platform: str, model_name: str, run_id: str = "") -> Step:
    """The same, with the plan of the record's release: for whoever knows only the model. Without `run_id`, the release that the record holds."""
    bare = platforms.open_platform(platform, model_name, Plan())
    release = ledger.read(bare).release
    if release is None:
        return Step(bare, Plan(), run_id)
    return Step(platforms.open_platform(platform, model_name, release.plan), release.plan, run_id or release.run_id)


def fetch(uri: str) -> Path:
    """The directory or file behind a URI, on this machine: a `gs://` one is copied into a temporary directory of this process."""
    if "://" not in uri or uri.startswith("file://"):
        return Path(unquote(uri.removeprefix("file://")))
    from tfcanary.storage import open_storage

    folder, _, name = uri.rstrip("/").rpartition("/")
    beside = open_storage(folder)
    if any(blob.name == name for blob in beside.list(name)):
        return _one(beside, name)
    return _copied(open_storage(uri), "")


def files_of(platform: Platform, version: ModelVersion) -> Path:
    """A pushed version's files, on this machine: a directory is used where it lies."""
    if "://" not in version.uri:
        return Path(version.uri)
    return _copied(platform.storage, f"{platform.model}/{version.number}/")


def _copied(storage: Storage, prefix: str) -> Path:
    from tfcanary.storage.transfer import pull

    into = _scratch()
    pull(storage, prefix, into)
    return into


def _one(storage: Storage, name: str) -> Path:
    path = _scratch() / name
    with path.open("wb") as into:
        storage.read(name, into)
    return path


def _scratch() -> Path:
    """A directory that ends with this process."""
    into = Path(tempfile.mkdtemp(prefix="tfcanary-"))
    atexit.register(shutil.rmtree, into, ignore_errors=True)
    return into


def stable_model(step: Step) -> Path | None:
    """The stable version's files, to compare the candidate with; None before the first release."""
    stable = step.record.stable
    return files_of(step.platform, stable) if stable else None


def requests(step: Step, source: str) -> RequestSource:
    """Recorded requests: `log` is the servers' own, else a file, directory or `gs://` URI."""
    from tfcanary.serving.requests import open_requests

    return step.platform.log if source == "log" else open_requests(str(fetch(source)))


def sample_requests(step: Step) -> Iterator[Request]:
    """Requests to warm a server with: the plan's own, else made up from the candidate's signature."""
    from tfcanary.savedmodel.samples import generated

    if step.plan.predictions:
        yield from requests(step, step.plan.predictions.source).requests(step.plan.predictions.limit)
    elif step.release.candidate:
        yield from generated(files_of(step.platform, step.release.candidate), step.plan.validation)


def gate(look: Look) -> str:
    """The word that a gate compares: `pass` (a warning passes, too) or the finding."""
    return Finding.PASS.value if look.finding in (Finding.PASS, Finding.WARN) else look.finding.value


def lineage(step: Step) -> dict[str, str]:
    """Where a result comes from: what every artifact carries as metadata."""
    release = step.record.release
    candidate = release.candidate if release else None
    return {
        "model": step.platform.model,
        "version": str(candidate.number) if candidate else "",
        "model_digest": candidate.digest if candidate else "",
        "plan_digest": codec.digest(step.plan),
        "run_id": step.run_id,
        "training_data": step.plan.training_data,
        "tfcanary_version": __version__,
    }


def compared(step: Step) -> Look:
    """Compare predictions as the plan asks; what was found before in this run is returned as it was."""
    from tfcanary.evaluate import predictions

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
    asked = requests(step, step.plan.predictions.source).requests(step.plan.predictions.limit)
    return predictions.compare(step.platform.predictor, asked, step.plan.predictions, step.platform.clock)


def drifted(step: Step, stage: int, watched: Artifact) -> Look:
    """Compare the stage's recorded requests as the plan asks; what was found before in this run is returned as it was."""
    from tfcanary.evaluate import drift

    release, about = step.release, f"drift-{stage}"
    if found := release.looks.get(about):
        return found
    verdict: Verdict = read_artifact(Verdict, watched)
    if step.plan.drift is None or verdict.decision is Decision.ROLLBACK:
        why = "absent by plan" if step.plan.drift is None else "not asked: the stage was rolled back while it was watched"
        return Look(about, absent=(Absence("drift", why),))
    if not release.state.ended:
        ledger.hold(step.platform, step.run_id, f"drift of stage {stage}")
    since, until = release.stage_began or release.began, verdict.at or step.platform.clock.now()
    stable, canary = (step.platform.log.answered(track, since, until) for track in Track)
    return replace(drift.evaluate(stable, canary, step.plan.drift, look=stage + 1), about=about)


def judged(step: Step, stage: int, watched: Artifact, drift: Artifact) -> Verdict:
    """The stage's verdict out of what was watched and what drifted."""
    return watch.judge_stage(step.platform, step.run_id, stage, read_artifact(Verdict, watched), read_artifact(Look, drift))


def scalars(verdict: Verdict) -> dict[str, float]:
    """The criteria's estimates, for KFP's table of metrics."""
    return {e.about: round(e.interval.estimate, 6) for e in verdict.evidence if e.interval}


def side_by_side(signature: str, stable: Path | None, candidate: Path) -> SignaturePairs | None:
    """What the two models declare under one signature; None where one of them cannot be read, which the checks say in their own words."""
    from tfcanary import savedmodel

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
    """Write the whole release's report; returns its state."""
    record, points = step.record, timeline(step)
    _write(page, report.release_html(record, points), lineage(step))
    _write(summary, report.release_markdown(record, points), lineage(step))
    ours = record.release and record.release.run_id == step.run_id
    return record.release.state.value if record.release and ours else "none"


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
