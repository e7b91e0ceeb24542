"""What the steps tell on the way: a stage that ended well, and a world that drifts, once a drift."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.act.conftest import RUN, deployed, held_by_the_dead, model, pushed
from tests.fakes import World
from tfcanary import adapters
from tfcanary.act import ledger, notify, rollback
from tfcanary.cli.orders import abort
from tfcanary.core import codec
from tfcanary.core.domain import Decision, Look, ModelVersion, Verdict
from tfcanary.core.plan import DriftPlan, NotifyPlan, Occasion, Plan
from tfcanary.core.record import State
from tfcanary.look.evaluate import attribution
from tfcanary.run import steps
from tfcanary.run.steps import gate_looks

__all__ = ["deployed", "model", "pushed"]

ALL = NotifyPlan(url="https://a.example/canary", when=tuple(Occasion))
DAY = timedelta(days=1)


@dataclass
class Written:
    """An input artifact."""

    path: str
    metadata: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def plan(plan: Plan) -> Plan:
    return replace(plan, notify=(ALL,), drift=DriftPlan(retrain="train-digits"))


def written(folder: Path, value: object) -> Written:
    path = folder / f"{type(value).__name__}.json"
    path.write_text(codec.dumps(value))
    return Written(str(path))


def judged(world: World, plan: Plan, folder: Path, decision: Decision) -> None:
    step = steps.Step(world.platform(), plan, RUN)
    watched = Verdict(decision, "said the watch", stage=0, weight=10, at=world.clock.now())
    steps.judge_stage(step, 0, written(folder, watched), written(folder, Look("drift-0")))


def test_a_stage_that_ended_well_is_told_by_the_step_that_judged_it(
    world: World, plan: Plan, deployed: ModelVersion, tmp_path: Path
) -> None:
    for _ in range(2):
        judged(world, plan, tmp_path, Decision.ADVANCE)
    ((notice, _),) = world.notices.told
    assert (notice.kind, notice.stage, notice.state) == ("stage.advanced", 0, State.WATCHED.value)


def test_a_stage_that_ended_in_a_rollback_is_told_with_the_end_alone(
    world: World, plan: Plan, deployed: ModelVersion, tmp_path: Path
) -> None:
    held_by_the_dead(world.platform(), "watch", 0)
    judged(world, plan, tmp_path, Decision.ROLLBACK)
    assert (world.weight, world.notices.seen) == (0, [])
    rollback.roll_back(world.platform(), RUN)
    assert [notice.kind for notice, _ in world.notices.told] == ["release.rolled_back"]


def drifts(world: World, plan: Plan, run_id: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A release that finds the drift, twice, and ends; returns what its history says of it."""
    monkeypatch.setattr(attribution, "world_drift_reason", lambda evidence: "input.x moved")
    platform = world.platform()
    ledger.begin(platform, plan, run_id)
    for _ in range(2):
        gate_looks._record_world_drift(steps.Step(platform, plan, run_id), Look("drift-0"))
        assert notify.deliver(platform, run_id)
    rollback.roll_back(platform, run_id, "the test is over")
    (event,) = [one.what for one in ledger.read_release(platform, run_id).events if one.what.startswith(gate_looks.WORLD_DRIFT)]
    return event


def asked(world: World) -> list[tuple[str, str]]:
    return [(notice.run_id, notice.retrain) for notice, _ in world.notices.told if notice.kind == "drift.world"]


def test_a_drift_is_told_once_a_day_whatever_release_finds_it(world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drifts(world, plan, "run-1", monkeypatch).endswith("; train-digits is asked to retrain")
    world.clock.time += DAY - timedelta(minutes=1)
    assert "; told already, by release run-1 at 2026-01-31 12:00 UTC" in drifts(world, plan, "run-2", monkeypatch)
    world.clock.time += timedelta(minutes=1)
    drifts(world, plan, "run-3", monkeypatch)
    assert asked(world) == [("run-1", "train-digits"), ("run-3", "train-digits")]


def test_how_often_a_drift_is_told_is_the_plans(world: World, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    often: Plan = replace(plan, drift=DriftPlan(retrain_every=timedelta(0)))
    for run_id in ("run-1", "run-2"):
        drifts(world, often, run_id, monkeypatch)
    assert asked(world) == [("run-1", ""), ("run-2", "")]


def test_who_aborts_tells(world: World, deployed: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "open_platform", lambda uri, model, plan: world.platform(model))
    for _ in range(2):
        done = CliRunner().invoke(abort, ["digits", "--platform", "fake://", "--reason", "it was the wrong model"])
        assert done.exit_code == 0, done.output
    ((notice, _),) = world.notices.told
    assert (notice.kind, notice.reason) == ("release.rolled_back", "it was the wrong model")
