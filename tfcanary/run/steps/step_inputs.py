"""A step's arguments turned into values: the platform, the plan, and what the plan points to."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tfcanary import __version__, adapters
from tfcanary.act import ledger
from tfcanary.core import codec
from tfcanary.core.domain import Request
from tfcanary.core.errors import Held, TfcanaryError
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform, RequestSource
from tfcanary.core.record import Record, Release
from tfcanary.run.steps.labels import with_labels
from tfcanary.run.steps.model_files import fetch, files_of

LONGEST_FAILURE = 500
"""Characters of what a failed step says: the record is no log."""


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
    return _tells_of_its_failure(_bound(platform, model_name, decoded, run_id))


def _tells_of_its_failure(step: Step) -> Step:
    """Where this process ends by an error of ours, the record says which: a person sees the record, and not every pod's log."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        if isinstance(error, TfcanaryError) and not isinstance(error, Held):
            with suppress(TfcanaryError):
                ledger.failed(step.platform, step.run_id, str(error)[:LONGEST_FAILURE])

    sys.excepthook = hook
    return step


def reopen_step(platform: str, model_name: str, run_id: str = "") -> Step:
    """The same, with the plan of the record's release: for whoever knows only the model. Without `run_id`, the release that the record holds."""
    bare = adapters.open_platform(platform, model_name, Plan())
    release = ledger.read(bare).release
    if release is None:
        return Step(bare, Plan(), run_id)
    return _bound(platform, model_name, release.plan, run_id or release.run_id)


def _bound(platform: str, model_name: str, plan: Plan, run_id: str) -> Step:
    return Step(with_labels(adapters.open_platform(platform, model_name, plan), plan), plan, run_id)


def stable_model(step: Step) -> Path | None:
    """The stable version's files, to compare the candidate with; None before the first release."""
    stable = step.record.stable
    return files_of(step.platform, stable) if stable else None


def requests(step: Step, source: str) -> RequestSource:
    """Recorded requests: `log` is the servers' own, else a file, directory or `gs://` URI."""
    from tfcanary.adapters.serving.requests import open_requests

    return step.platform.log if source == "log" else open_requests(str(fetch(source)))


def golden_requests(step: Step, most: int) -> list[Request]:
    """The plan's golden requests, the first of them; none where it names none."""
    golden = step.plan.validation.golden
    return list(requests(step, golden).requests(most)) if golden else []


def mirrored(source: str) -> Path | None:
    """The folder of a source that holds the logs of both tracks, as a mirror leaves them; None where it does not."""
    from tfcanary.look.evaluate.mirrored import is_mirrored

    path = fetch(source) if source != "log" else None
    return path if path and is_mirrored(path) else None


def sample_requests(step: Step) -> Iterator[Request]:
    """Requests to warm a server with: the plan's own, else made up from the candidate's signature."""
    from tfcanary.look.savedmodel.samples import generated

    if step.plan.predictions and not mirrored(step.plan.predictions.source):
        yield from requests(step, step.plan.predictions.source).requests(step.plan.predictions.limit)
    elif step.release.candidate:
        yield from generated(files_of(step.platform, step.release.candidate), step.plan.validation)


def lineage(step: Step) -> dict[str, str]:
    """Where a result comes from: what every artifact carries as metadata."""
    release = step.record.release
    # Where the record holds the release of another run, its candidate is not this run's.
    candidate = release.candidate if release and release.run_id == step.run_id else None
    return {
        "model": step.platform.model,
        "version": str(candidate.number) if candidate else "",
        "model_digest": candidate.digest if candidate else "",
        "plan_digest": codec.digest(step.plan),
        "run_id": step.run_id,
        "training_data": step.plan.training_data,
        "tfcanary_version": __version__,
    }
