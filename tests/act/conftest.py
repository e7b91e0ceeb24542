"""A model on disk, and a release that stands where a test wants it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.act.dying import Dies
from tests.fakes import World
from tests.process import Behaviour
from tfcanary.act import deploy, ledger, push, shift
from tfcanary.act.hold import holding
from tfcanary.core.domain import Decision, ModelVersion, Request, Verdict
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release, State
from tfcanary.look.savedmodel import FileDigest, Manifest

RUN = "run-1"


def manifest_of(folder: Path) -> Manifest:
    """By hand, so that the acts are tested without reading a SavedModel."""
    files = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        files.append(FileDigest(path.relative_to(folder).as_posix(), len(content), hashlib.sha256(content).hexdigest()))
    whole = hashlib.sha256("".join(f.sha256 for f in files).encode()).hexdigest()
    return Manifest(tuple(files), f"sha256:{whole}")


def release_of(world: World) -> Release:
    release = ledger.read(world.platform()).release
    assert release is not None
    return release


def end_as(platform: Platform, run_id: str, state: State, reason: str = "") -> Release:
    """The release ends so, whatever it was doing."""
    before = State.PROMOTING if state is State.PROMOTED else State.ROLLING_BACK
    ledger.change(platform, run_id, lambda r: replace(r, state=before))
    return ledger.end(platform, run_id, state, before, reason)


def held_by_the_dead(platform: Platform, name: str = "watch stage 0", stage: int | None = None) -> Release:
    """A step takes the hold, sets a stage's weight if one is named, and is killed."""
    with suppress(Dies), holding(platform, RUN, name) as hold:
        if stage is not None:
            shift.shift(hold, stage)
        else:
            hold.watch()
        raise Dies
    return ledger.read_release(platform, RUN)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Files as a SavedModel has them."""
    folder = tmp_path / "export"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(b"weights" * 1000)
    return folder


@pytest.fixture
def pushed(world: World, plan: Plan, model: Path) -> ModelVersion:
    """Version 2 lies in the bucket, and its release is open."""
    ledger.begin(world.platform(), plan, RUN)
    return push.push(world.platform(), model, manifest_of(model))


@pytest.fixture
def deployed(world: World, pushed: ModelVersion) -> ModelVersion:
    """Version 2 runs at weight 0, warm and guarded."""
    world.behaviours[pushed.number] = Behaviour(answer=2.0)
    deploy.deploy_canary(world.platform(), RUN, pushed, lambda: iter([Request({"instances": [[1.0]]})] * 50))
    return pushed


@pytest.fixture
def at_last_stage(world: World, deployed: ModelVersion) -> ModelVersion:
    """Version 2 has half of the traffic, and the judge said promote."""
    platform = world.platform()
    for stage in (0, 1):
        with holding(platform, RUN, f"watch stage {stage}") as hold:
            shift.shift(hold, stage)
        world.clock.sleep(20)
    verdict = Verdict(Decision.PROMOTE, "every criterion passed", stage=1, weight=50)
    ledger.change(platform, RUN, lambda r: replace(r, verdicts=(verdict,)))
    return deployed


@pytest.fixture
def pushed_first(plan: Plan, model: Path) -> tuple[World, ModelVersion]:
    """A world without any version, and the first one in its bucket."""
    world = World()
    ledger.begin(world.platform(), replace(plan, bootstrap=True), RUN)
    return world, push.push(world.platform(), model, manifest_of(model))
