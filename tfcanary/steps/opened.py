"""A step's arguments turned into values: the platform, the plan, and the files behind a URI."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from tfcanary import __version__, codec, platforms
from tfcanary.acts import ledger
from tfcanary.domain import ModelVersion, Request
from tfcanary.errors import Refused
from tfcanary.plan import Plan
from tfcanary.ports import Platform, RequestSource, Storage
from tfcanary.record import Record, Release

GRAPH = 64 * 2**20
"""Bytes of a graph that are fetched for a page: many times a usual one; the step that ends a release must not wait for more."""


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
        return fetch_one(beside, name)
    return _copied(open_storage(uri), "")


def files_of(platform: Platform, version: ModelVersion) -> Path:
    """A pushed version's files, on this machine: a directory is used where it lies."""
    if "://" not in version.uri:
        return Path(version.uri)
    return _copied(platform.storage, f"{platform.model}/{version.number}/")


def graph_of(platform: Platform, version: ModelVersion) -> Path:
    """A directory with the version's graph in it: of a bucket that one object, and none that is too large for a look. Raises Refused or Unavailable."""
    from tfcanary.savedmodel.tree import MODEL

    if "://" not in version.uri:
        return Path(version.uri)
    name = f"{platform.model}/{version.number}/{MODEL}"
    if not any(blob.name == name and blob.size <= GRAPH for blob in platform.storage.list(name)):
        raise Refused(f"{version.uri}: no {MODEL} of at most {GRAPH:,} bytes")
    return fetch_one(platform.storage, name).parent


def _copied(storage: Storage, prefix: str) -> Path:
    from tfcanary.storage.transfer import pull

    into = _scratch()
    pull(storage, prefix, into)
    return into


def fetch_one(storage: Storage, name: str) -> Path:
    """A single file of a storage, on this machine."""
    path = _scratch() / Path(name).name
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
