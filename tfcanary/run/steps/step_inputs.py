"""A step's arguments as values: the platform, the plan, and the files that the plan names."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tfcanary import __version__, adapters
from tfcanary.act import ledger
from tfcanary.core import codec
from tfcanary.core.domain import Request
from tfcanary.core.errors import Refused, TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform, RequestSource
from tfcanary.core.record import Export, Record, Release
from tfcanary.run.steps.labels import with_labels
from tfcanary.run.steps.model_files import fetch, files_of


class Artifact(Protocol):
    """The two attributes of a KFP artifact that the steps use."""

    path: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """The arguments that every step takes, as values."""

    platform: Platform
    plan: Plan
    run_id: str
    """The release's id."""
    begun_by: str = ""
    """The pipeline's run: it alone may begin the release, and its exit step may end it."""

    @property
    def record(self) -> Record:
        """The model's record, read now. Raises Unavailable."""
        return ledger.read(self.platform)

    @property
    def own_release(self) -> Release | None:
        """The record's release, read now, where it is this run's: a cloned run repeats the id of another one's."""
        release = self.record.release
        return release if release and release.is_of(self.run_id, self.begun_by) else None

    @property
    def release(self) -> Release:
        """The release of this run, read now; raises Held where the record holds another run's release."""
        return ledger.ours(self.record, self.run_id)


def open_step(platform: str, model_name: str, plan: Mapping[str, Any], run_id: str, release_id: str = "") -> Step:
    """Decode a step's plan and bind its platform; raises Refused where one of the arguments is wrong.

    The release is called `release_id`; where that is empty, it is called as the pipeline's run, `run_id`.

    From here on an error that ends this process is written into the record, too.
    """
    check_run_id(run_id)
    decoded: Plan = codec.decode(Plan, plan, at="plan")
    step = replace(_bind(platform, model_name, decoded, release_id or run_id), begun_by=run_id)
    _record_failure_at_exit(step)
    return step


def check_run_id(run_id: str) -> None:
    """Raises Refused where a step does not know its run: then Kubeflow's cache would answer for it, with what an earlier run found.

    The run's id is the one argument that differs in each run. Kubeflow puts it in only where the whole argument is the placeholder.
    """
    if not run_id or "{{" in run_id:
        raise Refused(f"run_id {run_id!r}: is no run's id; pass dsl.PIPELINE_JOB_ID_PLACEHOLDER itself, not inside of a longer text")


def _record_failure_at_exit(step: Step) -> None:
    """Write an error that ends this process into the record: people look at the record, and not into every pod's log."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        if isinstance(error, Exception):
            with suppress(TfcanaryError):
                ledger.failed(step.platform, step.run_id, error, step.begun_by)

    sys.excepthook = hook


def reopen_step(platform: str, model_name: str, run_id: str = "", begun_by: str = "") -> Step:
    """Bind the platform with the plan of the record's release, for callers who know only the model.

    Without `run_id` the step is the one of the release that the record holds; `begun_by` is the pipeline's run, where one calls. Raises
    Refused and Unavailable.
    """
    bare = adapters.open_platform(platform, model_name, Plan())
    release = ledger.read(bare).release
    if release is None:
        return Step(bare, Plan(), run_id, begun_by)
    return replace(_bind(platform, model_name, release.plan, run_id or release.run_id), begun_by=begun_by)


def _bind(platform: str, model_name: str, plan: Plan, run_id: str) -> Step:
    return Step(with_labels(adapters.open_platform(platform, model_name, plan), plan), plan, run_id)


def stable_model(step: Step) -> Path | None:
    """Return a directory with the stable version's files, to compare the candidate with; None before the first release."""
    stable = step.record.stable
    return files_of(step.platform, stable) if stable else None


def recorded_requests(step: Step, source: str) -> RequestSource:
    """Open recorded requests: `log` means the servers' own log, anything else is a file, a directory or a `gs://` URI."""
    from tfcanary.adapters.serving.requests import open_requests

    return step.platform.log if source == "log" else open_requests(str(fetch(source)))


def golden_requests(step: Step) -> Iterator[Request]:
    """Yield the plan's golden requests, one more than its limit where there are as many; none where the plan names no source."""
    plan = step.plan.validation
    if plan.golden:
        yield from recorded_requests(step, plan.golden).requests(plan.golden_limit + 1)


def mirror_folder(source: str) -> Path | None:
    """Return the folder behind a source that holds the logs of both tracks, as a mirror writes them; None for other sources."""
    from tfcanary.look.evaluate.mirrored import has_mirrored_logs

    path = fetch(source) if source != "log" else None
    return path if path and has_mirrored_logs(path) else None


def warmup_requests(step: Step) -> Iterator[Request]:
    """Yield requests that warm a server: those of the plan's predictions, else requests generated from the candidate's signature."""
    from tfcanary.look.savedmodel.samples import generate_requests

    if step.plan.predictions and not mirror_folder(step.plan.predictions.source):
        yield from recorded_requests(step, step.plan.predictions.source).requests(step.plan.predictions.limit)
    elif step.release.candidate:
        yield from generate_requests(files_of(step.platform, step.release.candidate), step.plan.validation)


def lineage(step: Step) -> dict[str, str]:
    """Return the metadata of every artifact: model, version, export, digests, run, training, and the version of tfcanary."""
    # Where the record holds the release of another run, its candidate is not this run's.
    ours = step.own_release
    candidate, export = (ours.candidate, ours.export) if ours else (None, Export())
    return {
        "model": step.platform.model,
        "version": str(candidate.number) if candidate else "",
        "model_uri": export.uri,
        "model_digest": candidate.digest if candidate else export.digest,
        "commit": export.commit,
        "training_run": export.training_run,
        "plan_digest": codec.digest(step.plan),
        "run_id": step.run_id,
        "training_data": step.plan.training_data,
        "tfcanary_version": __version__,
    }
